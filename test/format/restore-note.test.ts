import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { chunkStem } from "../../src/format/layout.ts";
import { type Manifest, parseManifest } from "../../src/format/manifest.ts";
import { restoreNote } from "../../src/format/restore-note.ts";
import { measure } from "../../src/stream/digest.ts";
import { parseSnapshotName } from "../../src/zfs/names.ts";
import { pattern, sliced, watched } from "../stream/sources.ts";
import { goldenBackup, goldenKeyed, goldenUnkeyed } from "./sealing.ts";

const full = parseManifest(goldenKeyed, "key", goldenBackup).manifest;
const incremental = parseManifest(goldenUnkeyed, "key", parseSnapshotName("tank/home@golden-2")).manifest;

/** The shell commands of a note: the check, and the restore. */
function commandsOf(note: string): [check: string, restore: string] {
  const [check = "", restore = ""] = [...note.matchAll(/^```\n([\s\S]*?)^```$/gm)].map(([, text = ""]) => text);
  return [check, restore];
}

function withPacket(packet: Manifest["encryption"]["packet"]): Manifest {
  return { ...full, encryption: { ...full.encryption, packet } };
}

describe("RESTORE.md", () => {
  it("says what lies there", () => {
    const note = restoreNote(full);
    expect(note).toContain("# Restoring `tank/home@golden` without zferry");
    expect(note).toContain("one full backup: 3 files, 19.5 KiB, of a `zfs send` stream of 19000 bytes");
    expect(note).toContain("Snapshot guid 18446744073709551557, taken 2026-11-21T02:00:00.000Z");
  });

  it("of an incremental names its base, or the base's guid when no backup holds it", () => {
    expect(restoreNote(full)).not.toContain("incremental");
    expect(restoreNote(incremental)).toContain("restore its base first, the backup `tank/home@golden`, into the same dataset");
    const orphan = { ...incremental, base: { guid: full.snapshot.guid, backup: null } };
    expect(restoreNote(orphan)).toContain("restore its base first, the snapshot with guid 18446744073709551557");
  });

  it.for([
    ["ocb", "cat 'home@golden.zfs.gpg'.?????? | gpg -d | zfs receive -u 'POOL/home'", "gpg 2.2.21 or newer"],
    ["cfb", "cat 'home@golden.zfs.gpg'.?????? | gpg -d | zfs receive -u 'POOL/home'", "any OpenPGP program"],
    [
      "rfc9580",
      "cat 'home@golden.zfs.gpg'.?????? | sqop decrypt --with-password=PASSPHRASE_FILE | zfs receive -u 'POOL/home'",
      "Sequoia",
    ],
    ["none", "cat 'home@golden.zfs'.?????? | zfs receive -u 'POOL/home'", "You need: zfs."],
  ] as const)("with packet %s restores by a line of stock tools", ([packet, line, needs]) => {
    const note = restoreNote(withPacket(packet));
    expect(commandsOf(note)[1].split("\n")).toContain(line);
    expect(note).toContain(needs);
  });

  it("ends the whole line when any part of it fails", () => {
    expect(commandsOf(restoreNote(full))[1]).toMatch(/^set -o pipefail\n/);
  });

  it("holds nothing that opens the backup", () => {
    const note = restoreNote(full);
    expect(note).not.toContain(full.encryption.sessionKeyPackets);
    expect(note).not.toContain(full.encryption.keyCheck);
  });
});

describe("the commands of RESTORE.md, run word for word by bash", () => {
  it.for(["tank/home@monday", "tank/my data@a b", "tank@pool"])("find and restore %s, and find a damaged file", async (name) => {
    const folder = mkdtempSync(join(tmpdir(), "zferry-note-"));
    try {
      const backup = parseSnapshotName(name);
      const bytes = pattern(10_000);
      const pieces = sliced(bytes, 4096);
      const chunks = await Promise.all(pieces.map((piece) => measure(watched([piece]).source, { markBytes: 4096 })));
      const encryption = { packet: "none" as const, sessionKeyPackets: null, keyCheck: null };
      const manifest = { ...full, backup, encryption, chunks: chunks.map((chunk) => ({ ...chunk, marks: [...chunk.marks] })) };
      const file = (index: number): string => join(folder, `${chunkStem(backup, "none")}.00000${index}`);
      for (const [index, piece] of pieces.entries()) writeFileSync(file(index), piece);
      writeFileSync(join(folder, "zfs"), '#!/bin/sh\nprintf "%s|" "$@" >arguments && exec cat >received\n', { mode: 0o755 });

      const [check, restore] = commandsOf(restoreNote(manifest));
      const bash = (script: string): string =>
        execFileSync("bash", ["-c", script], { cwd: folder, encoding: "utf8", stdio: "pipe", env: { PATH: `${folder}:/usr/bin:/bin`, LC_ALL: "C" } });
      expect(bash(check).match(/: OK$/gm)).toHaveLength(3);
      bash(restore);
      expect(bash("cat arguments")).toMatch(/^receive\|-u\|POOL\/[^|]+\|$/);
      expect(execFileSync("cat", [join(folder, "received")]).equals(bytes)).toBe(true);

      writeFileSync(file(1), pattern(4096).fill(0, 5, 6));
      expect(() => bash(check)).toThrow(/did NOT match/);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
