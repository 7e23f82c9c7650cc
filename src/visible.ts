/** Names and texts from pools, stores and servers, as they may be shown: whoever chose them is not to be obeyed. */

/**
 * Characters that a terminal or a mail program obeys, that begin a line or turn its direction, or that nobody sees (of width
 * zero, fillers, tags, halves of a pair): no name looks like another by what is not there to be seen.
 */
const unprintable = /[\p{Cc}\p{Cf}\p{Cs}\p{Default_Ignorable_Code_Point}\u2028\u2029]/gu;

/**
 * One line, with escapes for what is no text: nobody moves the cursor, adds a line that looks like ours, or a header to a
 * mail.
 */
export function visible(line: string): string {
  return line.replace(unprintable, escaped);
}

function escaped(character: string): string {
  const code = (character.codePointAt(0) ?? 0).toString(16);
  return code.length > 4 ? `\\u{${code}}` : `\\u${code.padStart(4, "0")}`;
}

/** The same line by line. */
export function visibleLines(text: string): string {
  return text.split("\n").map(visible).join("\n");
}

/** JSON in which the same characters are escapes: it says what it said. @param json - without line breaks */
export function visibleJson(json: string): string {
  return json.replace(unprintable, (character) => character.split("").map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`).join(""));
}
