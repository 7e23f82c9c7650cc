/** Words for a POSIX shell: in commands that people are told to run, and for the shell behind ssh. */

/** What no shell reads as more than itself, anywhere in a word. */
const plain = /^[A-Za-z0-9_./:@%+=,-]+$/;

/** One word whatever it holds, as POSIX's Shell Command Language, 2.2.2, quotes it. */
export function quotedWord(text: string): string {
  return `'${text.replaceAll("'", String.raw`'\''`)}'`;
}

/** One word, and as it is where it needs no quotes: what a person is to run stays readable. */
export function word(text: string): string {
  return plain.test(text) ? text : quotedWord(text);
}
