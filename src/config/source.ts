/**
 * A configuration file as text: what it says in YAML, and where each thing stands in it, so that `config.ts` can name
 * line and column of whatever it refuses.
 */
import { createRequire } from "node:module";
import type * as Yaml from "yaml";
import type { Document, Node } from "yaml";

const require = createRequire(import.meta.url);
/** Loaded with the first file: a command that is given everything by flags does without, and starts in less time. */
const yaml = (): typeof Yaml => require("yaml") as typeof Yaml;

/** A file that parsed. */
export interface ConfigSource {
  /** Plain values; null when the file is empty. */
  readonly value: unknown;
  /** `line:column`, from 1, of the value at a path, or of the nearest one above it that is in the file. */
  positionOf(path: readonly PropertyKey[]): string;
  /** The same of the name at the end of a path. */
  positionOfName(path: readonly PropertyKey[]): string;
}

/** Why a text is not YAML, and where. */
export interface SyntaxFlaw {
  readonly position: string;
  readonly why: string;
}

export function readSource(text: string): ConfigSource | SyntaxFlaw {
  const lines = new (yaml().LineCounter)();
  const document = yaml().parseDocument(text, { lineCounter: lines, uniqueKeys: true, prettyErrors: false });
  const positionAt = (offset: number): string => {
    const { line, col } = lines.linePos(offset);
    return `${line}:${col}`;
  };
  // A warning is an unknown !tag: whoever wrote it expects something to come of it.
  const [flaw] = [...document.errors, ...document.warnings];
  if (flaw !== undefined) return { position: positionAt(flaw.pos[0]), why: flaw.message };
  const loose = looseAlias(document);
  if (loose !== null) return { position: positionAt(loose.offset), why: `there is no anchor "${loose.name}" before this` };
  const reserved = reservedName(document);
  if (reserved !== null) return { position: positionAt(reserved), why: '"__proto__" cannot be a name' };
  let value: unknown;
  try {
    value = document.toJS();
  } catch (error) {
    // Aliases of aliases that would fill the memory: the library counts them and gives up.
    return { position: "1:1", why: (error as Error).message };
  }
  return {
    value,
    positionOf: (path) => positionAt(offsetOf(follow(document, path).value)),
    positionOfName: (path) => {
      const { name, value } = follow(document, path);
      return positionAt(offsetOf(name ?? value));
    },
  };
}

/** Where something has the one name that no object of this language can hold by itself: it would be dropped without a word. */
function reservedName(document: Document): number | null {
  let offset: number | null = null;
  const { isScalar, visit } = yaml();
  visit(document, {
    Pair: (_, { key }) => {
      if (!isScalar(key) || key.value !== "__proto__") return undefined;
      offset = offsetOf(key);
      return visit.BREAK;
    },
  });
  return offset;
}

/** The first alias that stands for nothing; `toJS` would throw an error without a place. */
function looseAlias(document: Document): { readonly name: string; readonly offset: number } | null {
  let found: { readonly name: string; readonly offset: number } | null = null;
  const { visit } = yaml();
  visit(document, {
    Alias: (_, alias) => {
      if (alias.resolve(document) !== undefined) return undefined;
      found = { name: alias.source, offset: offsetOf(alias) };
      return visit.BREAK;
    },
  });
  return found;
}

interface Place {
  readonly value: Node | null;
  /** The name the value stands behind; null for an item of a list and for the whole file. */
  readonly name: Node | null;
}

/** Goes down a path as far as the file has it. */
function follow(document: Document, path: readonly PropertyKey[]): Place {
  let place: Place = { value: document.contents, name: null };
  for (const step of path) {
    const next = childOf(yaml().isAlias(place.value) ? (place.value.resolve(document) ?? null) : place.value, String(step));
    if (next === null) break;
    place = next;
  }
  return place;
}

function childOf(node: Node | null, step: string): Place | null {
  const { isMap, isNode, isScalar, isSeq } = yaml();
  if (isSeq(node)) {
    const item = node.items[Number(step)];
    return isNode(item) ? { value: item, name: null } : null;
  }
  if (!isMap(node)) return null;
  const pair = node.items.find(({ key }) => isScalar(key) && String(key.value) === step);
  if (pair === undefined || !isNode(pair.key)) return null;
  return { name: pair.key, value: isNode(pair.value) ? pair.value : pair.key };
}

function offsetOf(node: Node | null): number {
  return node?.range?.[0] ?? 0;
}
