/** Starts `resident.mjs` once in a test process. */
import { spawn } from "node:child_process";
import { mkdtempSync, symlinkSync } from "node:fs";
import { Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** Comes first in a PATH. */
export const residentBin = fileURLToPath(new URL("bin", import.meta.url));

let portFile: string | null = null;

/** Lets what is asked of the world in `folder` be answered by the resident, as soon as it is up. */
export function letResidentAnswer(folder: string): void {
  portFile ??= start();
  symlinkSync(portFile, join(folder, "resident"));
}

/** It ends with this process, whose death closes the pipe. @returns the file that will hold its port */
function start(): string {
  const folder = mkdtempSync(join(tmpdir(), "zferry-resident-"));
  const child = spawn(process.execPath, [fileURLToPath(new URL("resident.mjs", import.meta.url)), join(folder, "port")], {
    stdio: ["pipe", "ignore", "inherit"],
    env: { PATH: process.env.PATH },
  });
  child.unref();
  const pipe: unknown = child.stdin;
  if (pipe instanceof Socket) pipe.unref();
  return join(folder, "port");
}
