/**
 * The layering rule (design §6) and the rules about who may touch what, over the source as the compiler reads it.
 *
 * An import points to a lower row, or to the same row within one folder. {@link complaintsAbout} judges one file and names
 * the file, the thing and the rule, so that a failure says what to do.
 */
import { posix } from "node:path";
import ts from "typescript";

/** The first entry that fits gives a file its row; an entry with a final slash is a whole folder. New file? New entry. */
const rows: readonly (readonly [row: number, files: readonly string[]])[] = [
  [0, ["errors.ts", "bytes.ts", "tail.ts", "wasm.ts", "version.ts", "json.ts", "visible.ts", "events.ts", "shell.ts"]],
  [1, ["zfs/names.ts"]],
  [2, ["config/", "format/", "stream/", "replay/", "openpgp/"]],
  [3, ["plan.ts", "retention.ts", "journal.ts", "journals.ts", "intent.ts", "state.ts", "verified.ts", "child-exit.ts", "history.ts", "copy-history.ts", "records.ts", "drills.ts", "files.ts", "ownership.ts", "lock.ts", "lock-holder.ts", "lock-turn.ts"]],
  [3, ["keep-rules.ts"]],
  [3, ["store/", "thread/"]],
  [4, ["zfs/", "secrets.ts", "quiesce/", "units/"]],
  [5, ["backup.ts", "put.ts", "get.ts", "list.ts", "hosts.ts", "restore.ts", "restore-foreign.ts", "copy.ts"]],
  [5, ["download.ts", "doctor.ts", "init.ts", "state-rebuild.ts", "notify/", "status/"]],
  // The steps the verbs are made of.
  [5, ["cargo.ts", "catalog.ts", "catalog-cache.ts", "manifest-replaced.ts", "taken-name.ts", "ferry.ts", "commit.ts", "advance.ts", "holding.ts", "taken.ts"]],
  [5, ["packing.ts", "retrieve.ts", "fall-over.ts", "catalogs.ts", "foreign.ts", "alone.ts", "attempt.ts", "resume.ts", "settle.ts", "voyage.ts"]],
  [5, ["strays.ts", "old-puts.ts", "unfinished.ts", "begun.ts", "added-keys.ts", "key.ts", "doctor-probes.ts", "doctor-rules.ts"]],
  // The verbs that are a folder of their own.
  [6, ["bench/", "verify/", "prune/", "machine/", "copy/", "plain/", "import/", "tree/"]],
  [7, ["job/", "drill/", "report/"]],
  [8, ["cli/", "index.ts"]],
  [9, ["main.ts"]],
];

/** Imports across folders of one row that are natural. Each with its reason. */
const sideways: readonly (readonly [from: string, to: string, why: string])[] = [
  ["stream/inspect.ts", "replay/", "the stage is the walk over replay records, put into the stream"],
  ["status/", "notify/", "what no run could tell is told, and who was not told is shown"],
  ["plain/", "tree/", "zferry's own engine is one of those that copy the files of a view"],
  ["config/", "format/", "a prefix in the configuration is checked by what makes keys of it"],
];

/** Lines a file may have. */
const maxLines = 300;

/** Modules that are somebody's own: nobody else imports them. */
const owners: readonly (readonly [module: string, files: readonly string[], why: string])[] = [
  ["node:child_process", ["zfs/", "secrets.ts", "quiesce/", "notify/", "child-exit.ts"], "few may start a process"],
  ["openpgp", ["openpgp/"], "key material stays in one folder"],
  ["node:process", ["main.ts", "quiesce/guard.ts", "quiesce/group.ts", "notify/program.ts"], "the process belongs to main"],
];
/** Each is the first file of a process of its own. */
const entries = ["main.ts", "quiesce/guard.ts"];
const ciphers = new Set(["createCipheriv", "createDecipheriv"]);

function fits(file: string, entry: string): boolean {
  return entry.endsWith("/") ? file.startsWith(entry) : file === entry;
}

/** The row of a file given by its path under `src/`, or null for one that nobody gave a row. */
function rowOf(file: string): number | null {
  return rows.find(([, files]) => files.some((entry) => fits(file, entry)))?.[0] ?? null;
}

/** What a file reaches for: the module specifier, and the names taken from it (`*` for all of it). */
interface Reach {
  readonly module: string;
  readonly names: readonly string[];
}

function namesOf(clause: ts.ImportClause | undefined): readonly string[] {
  const bindings = clause?.namedBindings;
  if (bindings !== undefined && ts.isNamedImports(bindings)) {
    return bindings.elements.map((element) => (element.propertyName ?? element.name).text);
  }
  return ["*"];
}

/** Static and dynamic imports, re-exports, and `new URL("./x.ts", import.meta.url)`, by which workers are found. */
function reachOf(node: ts.Node): Reach | null {
  if (ts.isImportDeclaration(node) && ts.isStringLiteral(node.moduleSpecifier)) {
    return { module: node.moduleSpecifier.text, names: namesOf(node.importClause) };
  }
  if (ts.isExportDeclaration(node) && node.moduleSpecifier !== undefined && ts.isStringLiteral(node.moduleSpecifier)) {
    return { module: node.moduleSpecifier.text, names: ["*"] };
  }
  const first = ts.isCallExpression(node) || ts.isNewExpression(node) ? node.arguments?.[0] : undefined;
  if (first === undefined || !ts.isStringLiteral(first)) return null;
  const isImport = ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword;
  const isUrl = ts.isNewExpression(node) && node.expression.getText() === "URL" && first.text.startsWith(".");
  return isImport || isUrl ? { module: first.text, names: ["*"] } : null;
}

function importComplaint(file: string, { module, names }: Reach): string | null {
  if (module.startsWith(".")) return rowComplaint(file, posix.join(posix.dirname(file), module));
  const owner = owners.find(([owned]) => owned === module);
  if (owner !== undefined && !owner[1].some((entry) => fits(file, entry))) {
    return `imports "${module}", which belongs to ${owner[1].join(", ")}: ${owner[2]}`;
  }
  const cipher = names.find((name) => name === "*" || ciphers.has(name));
  if (module === "node:crypto" && cipher !== undefined && !file.startsWith("openpgp/")) {
    return `takes "${cipher}" from node:crypto: ciphers belong to openpgp/, the rest is imported by name`;
  }
  return null;
}

function rowComplaint(file: string, target: string): string | null {
  const [from, to] = [rowOf(file), rowOf(target)];
  if (from === null) return null;
  if (to === null) return `imports "${target}", which has no row in test/layers.ts`;
  if (to < from) return null;
  if (to > from) return `imports "${target}": row ${from} must not know row ${to}`;
  if (posix.dirname(file) === posix.dirname(target)) return null;
  if (sideways.some(([source, folder]) => fits(file, source) && fits(target, folder))) return null;
  return `imports "${target}": sideways, into another folder of row ${to}`;
}

function isDefaultExport(node: ts.Node): boolean {
  if (ts.isExportAssignment(node)) return true;
  if (ts.isExportSpecifier(node)) return node.name.text === "default";
  return ts.canHaveModifiers(node) && (ts.getModifiers(node) ?? []).some(({ kind }) => kind === ts.SyntaxKind.DefaultKeyword);
}

/** `process.x` and `process[x]`, whatever `process` is: a child of ours has a better name. */
function touchesProcess(node: ts.Node): boolean {
  const isAccess = ts.isPropertyAccessExpression(node) || ts.isElementAccessExpression(node);
  return isAccess && ts.isIdentifier(node.expression) && node.expression.text === "process";
}

function* nodesUnder(node: ts.Node): Generator<ts.Node> {
  yield node;
  for (const child of node.getChildren()) yield* nodesUnder(child);
}

function nodeComplaint(file: string, node: ts.Node): string | null {
  if (isDefaultExport(node)) return "has a default export: names are the same everywhere";
  if (touchesProcess(node) && !entries.includes(file)) return "touches process: main.ts does, and hands on what others need";
  const reach = reachOf(node);
  return reach === null ? null : importComplaint(file, reach);
}

/** Every way in which a file breaks the rules, as `file:line: what`. `file` is its path under `src/`. */
export function complaintsAbout(file: string, text: string): readonly string[] {
  const source = ts.createSourceFile(file, text, ts.ScriptTarget.Latest, true);
  const complaints: string[] = [];
  const lineCount = text.split("\n").length - 1;
  if (rowOf(file) === null) complaints.push(`${file}: has no row: give it one in test/layers.ts`);
  if (lineCount > maxLines) complaints.push(`${file}: has ${lineCount} lines, more than ${maxLines}`);
  for (const node of nodesUnder(source)) {
    const complaint = nodeComplaint(file, node);
    const line = source.getLineAndCharacterOfPosition(node.getStart()).line + 1;
    if (complaint !== null) complaints.push(`${file}:${line}: ${complaint}`);
  }
  return complaints;
}
