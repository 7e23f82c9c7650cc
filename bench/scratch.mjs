/**
 * Where the benchmarks keep files, and what makes sure that none stays: the folder goes with the process however it ends
 * (but for SIGKILL, after which the next run removes it), and so does every process that was started here.
 */
import { mkdirSync, mkdtempSync, readdirSync, rmSync, statfsSync } from "node:fs";
import { freemem, tmpdir } from "node:os";
import { basename, join } from "node:path";
import { formatSize } from "../dist/bytes.js";

const prefix = "zferry-bench-";
/** What a tmpfs must have beside the files of a suite, so that the machine does not run out of memory. */
const spareBytes = 256 * 1024 * 1024;

const removals = new Set();
process.on("exit", () => {
  for (const remove of removals) remove();
});

/** Calls `remove` when the process ends, unless the returned function was called before, which does the same. Once. */
export function atEnd(remove) {
  const once = () => {
    if (removals.delete(once)) remove();
  };
  removals.add(once);
  return once;
}

/** The folder to measure in: memory where there is such a thing. */
export function fastFolder() {
  try {
    statfsSync("/dev/shm");
    return "/dev/shm";
  } catch {
    return tmpdir();
  }
}

/** A folder of our own in `base`. Its name carries the process id, so that a later run knows whether anyone needs it. */
export function makeScratch(base) {
  for (const name of readdirSync(base).filter((entry) => entry.startsWith(prefix))) {
    if (!isRunning(Number(name.split("-")[2]))) rmSync(join(base, name), { recursive: true, force: true });
  }
  const folder = mkdtempSync(join(base, `${prefix}${process.pid}-`));
  const close = atEnd(() => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }));
  return {
    folder,
    close,
    path: (...names) => join(folder, ...names),
    /** An empty folder of that name. */
    empty: (name) => {
      rmSync(join(folder, name), { recursive: true, force: true });
      mkdirSync(join(folder, name), { mode: 0o700 });
      return join(folder, name);
    },
    remove: (name) => rmSync(join(folder, basename(name)), { recursive: true, force: true }),
  };
}

function isRunning(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === "EPERM";
  }
}

/** Null when `folder` can take so many bytes more, otherwise why not. */
export function roomLacks(folder, bytes) {
  const { bavail, bsize, type } = statfsSync(folder);
  const isMemory = type === 0x01021994; // TMPFS_MAGIC of linux/magic.h
  const freeBytes = isMemory ? Math.min(bavail * bsize, freemem()) : bavail * bsize;
  if (freeBytes >= bytes + spareBytes) return null;
  return `it needs ${formatSize(bytes + spareBytes)}, and ${isMemory ? "memory" : "the disk"} has ${formatSize(freeBytes)}`;
}

/** @throws Error when there is no room */
export function needRoom(folder, bytes) {
  const lack = roomLacks(folder, bytes);
  if (lack !== null) throw new Error(`there is no room for the files: ${lack}; give a smaller --size or another --scratch`);
}
