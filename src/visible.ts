/** Names and texts from pools, stores and servers, as they may be shown: whoever chose them is not to be obeyed. */

/** Characters that a terminal or a mail program obeys, or that begin a line or turn its direction. */
const unprintable = /[\p{Cc}\u2028-\u202e\u2066-\u2069]/gu;

/**
 * One line, with escapes for what is no text: nobody moves the cursor, adds a line that looks like ours, or a header to a
 * mail.
 */
export function visible(line: string): string {
  return line.replace(unprintable, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

/** The same line by line. */
export function visibleLines(text: string): string {
  return text.split("\n").map(visible).join("\n");
}
