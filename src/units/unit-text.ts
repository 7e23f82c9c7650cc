/**
 * How systemd wants names and words written (systemd.unit(5), systemd.service(5), "Command lines"): everything that comes
 * from a configuration goes through here, so that a space, a quote, a `%` or a `$` in it stays what it is.
 */
import { ZferryError } from "../errors.ts";

/** systemd's limit on the name of a unit, less what the unit that tells of its failure adds (`zferry-failed@NAME.service`). */
const maxNameBytes = 255 - "zferry-failed@.service".length;

/** A unit as a file. */
export interface UnitFile {
  readonly name: string;
  readonly text: string;
}

/** One line of a section; a list gives several lines of one name, none for an empty one. */
export type Setting = readonly [name: string, value: string | number | readonly string[]];

/** A section, and what is set in it, in this order. */
export type Section = readonly [name: "Unit" | "Service" | "Timer" | "Install", settings: readonly Setting[]];

/** What every file begins with: by it an older set of files is known again. */
export const mark = "# Written by `zferry systemd`.";

/** @param about - what a reader should know, one comment line each */
export function unitFile(name: string, about: readonly string[], sections: readonly Section[]): UnitFile {
  const head = [mark, ...about.map((line) => `# ${line}`)];
  const body = sections.flatMap(([section, settings]) => ["", `[${section}]`, ...settings.flatMap(linesOf)]);
  return { name, text: [...head, ...body, ""].join("\n") };
}

function linesOf([name, value]: Setting): string[] {
  const values = typeof value === "object" ? value : [String(value)];
  return values.map((one) => `${name}=${one}`);
}

/**
 * `begin` and `label` as the name of a unit without its ending: what may not stand in one is written as its bytes, as
 * systemd-escape does. Different labels give different names.
 *
 * @throws ZferryError `config-invalid` when it is longer than systemd takes
 */
export function unitName(begin: string, label: string): string {
  const escaped = [...Buffer.from(label)].map((byte) => {
    const character = String.fromCharCode(byte);
    return /[A-Za-z0-9:_.-]/.test(character) ? character : `\\x${byte.toString(16).padStart(2, "0")}`;
  });
  const name = `${begin}${escaped.join("")}`;
  if (name.length + ".service".length <= maxNameBytes) return name;
  throw new ZferryError("config-invalid", `the name "${label}" is too long for a systemd unit`, { hint: "give it a shorter one in the configuration" });
}

/** Text in which only `%` means something, as in a description; a `\` at the very end would take in the next line. */
export function plain(text: string): string {
  return text.replaceAll("%", "%%").replace(/\p{Cc}/gu, " ").replace(/\\$/, "\\ ");
}

/** A path, or another word of a list, in which `%` means something and spaces part. */
export function word(text: string): string {
  const escaped = text.replaceAll("%", "%%");
  return /^[\p{L}\p{N}_@%+=:,./-]+$/u.test(text) ? escaped : `"${escaped.replace(/[\\"\p{Cc}]/gu, escapedCharacter)}"`;
}

function escapedCharacter(character: string): string {
  return character === "\\" || character === '"' ? `\\${character}` : `\\x${character.charCodeAt(0).toString(16).padStart(2, "0")}`;
}

/** A command line; no word of it is expanded. */
export function commandLine(words: readonly string[]): string {
  return words.map((one) => word(one).replaceAll("$", "$$$$")).join(" ");
}
