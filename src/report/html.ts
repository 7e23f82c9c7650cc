/**
 * HTML as a template that escapes whatever is put into it: names and error texts come from pools, stores and servers, and
 * whoever chose them is not to be obeyed by a browser either.
 */
import { visible } from "../visible.ts";

const made = Symbol("html");

/** Text that is HTML already, because this file or a drawing has made it. */
export interface Html {
  readonly [made]: string;
}

/** Null and false are nothing. */
export type Content = Html | readonly Html[] | string | number | null | false;

/** Values of attributes are to stand in double quotes. */
export function html(fixed: TemplateStringsArray, ...values: readonly Content[]): Html {
  return markup(fixed.reduce((text, part, index) => text + textOf(values[index - 1] ?? null) + part));
}

/** @param text - HTML whose texts are escaped already */
export function markup(text: string): Html {
  return { [made]: text };
}

export function textOf(content: Content): string {
  if (content === null || content === false) return "";
  if (typeof content === "number") return String(content);
  if (typeof content === "string") return escaped(content);
  return isHtml(content) ? content[made] : content.map((one) => one[made]).join("");
}

function isHtml(content: Html | readonly Html[]): content is Html {
  return made in content;
}

const entities: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };

function escaped(text: string): string {
  return visible(text).replace(/[&<>"']/g, (character) => entities[character] ?? "");
}
