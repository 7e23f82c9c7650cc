/** Help that fits: what commands add below their options has lines of its own, which a narrow terminal would break inside of words. */

/**
 * Paragraphs with a line that is too long are filled anew; of an indented line (a term, two spaces, its meaning) only the
 * rest goes below itself.
 *
 * @param width - of a terminal, in columns; null to leave it as it is
 */
export function fittedHelp(text: string, width: number | null): string {
  if (width === null) return text;
  const lines: string[] = [];
  let paragraph: string[] = [];
  const flush = (): void => {
    if (paragraph.some((line) => line.length > width)) lines.push(...hung(paragraph.join(" "), width, 0));
    else lines.push(...paragraph);
    paragraph = [];
  };
  for (const line of text.split("\n")) {
    if (/^\S/.test(line)) paragraph.push(line);
    else {
      flush();
      lines.push(...(line.length > width ? hung(line, width, /^ +\S+ {2,}/.exec(line)?.[0].length ?? 2) : [line]));
    }
  }
  flush();
  return lines.join("\n");
}

/** Broken at spaces, further lines indented. */
function hung(text: string, width: number, indent: number): string[] {
  const lines: string[] = [];
  let rest = text;
  while (rest.length > width) {
    const cut = rest.lastIndexOf(" ", width);
    if (cut <= indent) break; // a word that is longer than the terminal is wide
    lines.push(rest.slice(0, cut).trimEnd());
    rest = " ".repeat(indent) + rest.slice(cut + 1);
  }
  return [...lines, rest];
}
