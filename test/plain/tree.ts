/** A tree of files with everything that a copy can lose, and a description of one to compare it by. */
import { createHash } from "node:crypto";
import { linkSync, lstatSync, mkdirSync, readdirSync, readFileSync, readlinkSync, symlinkSync, truncateSync, utimesSync, writeFileSync } from "node:fs";

/** Bytes: names need not be UTF-8. */
type Path = Buffer;

function under(folder: Path, name: string | Buffer): Path {
  return Buffer.concat([folder, Buffer.from("/"), Buffer.from(name)]);
}

/** Names that have broken somebody's backup. */
const oddNames: readonly (string | Buffer)[] = [
  ...["a b", "-rf", "--", "'", '"', "\\", "*", "?", "[x]", "{}", "%s", "#", "&", ";", "$(id)", "`id`", "~", "!", "|", ":", "a:b", "=", " ", "  lead", "trail ", "..."],
  ...["new\nline", "car\rriage", "tab\there", "bell\u0007", "\u001b[2J", "ünïcödé", "日本", "e\u0301", "\u00e9", "😀", "\u202egnp.exe", "x".repeat(250), "CON", "a.rclonelink.not"],
  Buffer.from([0xff, 0xfe]),
  Buffer.from([0x61, 0xc3]),
];

/** @param manyCount - of plain small files, a hundred to a folder */
export function plant(folder: string, manyCount: number): void {
  const root = Buffer.from(folder);
  for (const [index, name] of oddNames.entries()) writeFileSync(under(root, name), `file ${index}`);
  mkdirSync(under(root, "odd"));
  for (const name of oddNames) mkdirSync(under(under(root, "odd"), name));
  for (const name of oddNames) writeFileSync(under(under(under(root, "odd"), name), "f"), "");
  mkdirSync(under(root, "empty folder"));
  mkdirSync(under(root, "links"));
  const links = under(root, "links");
  for (const [name, target] of [["relative", "../a b"], ["absolute", "/nonexistent/file"], ["dangling", "nowhere"], ["to folder", "../odd"], ["loop", "loop"], ["odd\ntarget", "new\nline"]] as const) {
    symlinkSync(target, under(links, name));
  }
  writeFileSync(under(root, "one"), "three names");
  linkSync(under(root, "one"), under(root, "two"));
  linkSync(under(root, "one"), under(links, "three"));
  writeFileSync(under(root, "holes"), "begin");
  truncateSync(folder + "/holes", 5 * 1024 * 1024);
  writeFileSync(under(root, "private"), "secret", { mode: 0o600 });
  writeFileSync(under(root, "program"), "#!/bin/sh\n", { mode: 0o755 });
  writeFileSync(under(root, "old"), "1991");
  utimesSync(folder + "/old", 684_000_000, 684_000_000);
  for (let at = 0; at < manyCount; at += 1) {
    const shelf = `${folder}/many/${Math.floor(at / 100)}`;
    if (at % 100 === 0) mkdirSync(shelf, { recursive: true });
    writeFileSync(`${shelf}/${at}`, `number ${at}`);
  }
}

export interface Looking {
  /** Which names are one file. */
  readonly hardLinks: boolean;
}

/** One line for each name in the tree, ascending: kind, mode, time, and what is in it. */
export function described(folder: string, { hardLinks }: Looking): readonly string[] {
  const firstOf = new Map<number, string>();
  const lines: string[] = [];
  const look = (path: Path, name: string): void => {
    const { mode, mtimeMs, size, nlink, ino } = lstatSync(path);
    const kind = mode & 0o170000;
    const parts = [name, (mode & 0o7777).toString(8)];
    if (kind === 0o120000) parts.splice(1, 1, "link", readlinkSync(path, { encoding: "buffer" }).toString("latin1"));
    if (kind === 0o100000) {
      const digest = createHash("sha256").update(readFileSync(path)).digest("hex").slice(0, 16);
      parts.push("file", String(Math.floor(mtimeMs / 1000)), String(size), digest);
      if (hardLinks && nlink > 1) parts.push(firstOf.get(ino) ?? "first");
      if (!firstOf.has(ino)) firstOf.set(ino, name);
    }
    lines.push(parts.join(" | "));
    if (kind !== 0o040000) return;
    const below = readdirSync(path, { encoding: "buffer" }).map((one) => [one.toString("latin1"), one] as const);
    for (const [text, one] of below.sort(([a], [b]) => (a < b ? -1 : 1))) look(under(path, one), `${name}/${text}`);
  };
  look(Buffer.from(folder), ".");
  return lines;
}
