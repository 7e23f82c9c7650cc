/** What moves on a terminal, made to fit: a line that were wrapped by the terminal could not be taken back. */
import stringWidth from "string-width";
import { visible } from "../visible.ts";

const most = 2;
/** What stays free behind a line: the last column makes some terminals begin a new line, and Ctrl-C is echoed as `^C`. */
const free = 3;

/** The pieces in one line or, where it is too narrow for them, two; what has no room then is left out, the last ones first. */
export function fitted(pieces: readonly string[], columns: number): string {
  const room = Math.max(1, columns - free);
  const lines: string[] = [];
  for (const piece of pieces.map(visible)) {
    const line = lines.at(-1);
    const joined = line === undefined ? piece : `${line}, ${piece}`;
    if (line !== undefined && stringWidth(joined) <= room) lines[lines.length - 1] = joined;
    else if (lines.length < most) lines.push(cut(line === undefined ? piece : `  ${piece}`, room));
    else break;
  }
  return lines.join("\n");
}

function cut(text: string, room: number): string {
  if (stringWidth(text) <= room) return text;
  let kept = "";
  for (const { segment } of new Intl.Segmenter().segment(text)) {
    if (stringWidth(kept + segment) > room - 1) break;
    kept += segment;
  }
  return `${kept}…`;
}
