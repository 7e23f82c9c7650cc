/**
 * A message as a mail for `sendmail -t -i`, which takes the addresses from the headers (RFC 5322, 2047, 3834).
 *
 * No text becomes a header by itself: a title is one line of printable ASCII, or encoded words that are.
 */
import { randomUUID } from "node:crypto";
import { hostname } from "node:os";
import type { MailSettings } from "../config/notify.ts";
import type { Message } from "./message.ts";

/** Of UTF-8 in one encoded word: with its frame it must not exceed 75 characters (RFC 2047, section 2). */
const encodedWordBytes = 42;
/** Of base64 in one line (RFC 2045, section 6.8). */
const base64LineChars = 76;
/** Of text as it is in one line (RFC 5322, section 2.1.1). */
const maxLineChars = 998;

export function mailOf({ to, from }: Pick<MailSettings, "to" | "from">, { title, text, at, job, isBad, kind }: Message): string {
  const body = `${text}\n\n${kind}${job === null ? "" : ` of job ${job}`}, ${at.toISOString()}\n`;
  const isPlain = /^[\n\x20-\x7e]*$/.test(body) && body.split("\n").every((line) => line.length <= maxLineChars);
  const headers = [
    ...(from === null ? [] : [`From: ${from}`]),
    `To: ${to.join(",\n ")}`,
    `Subject: ${subjectOf(title)}`,
    `Date: ${at.toUTCString().replace("GMT", "+0000")}`,
    `Message-ID: <${randomUUID()}@${hostname().replaceAll(/[^A-Za-z0-9.-]/g, "-")}>`,
    "Auto-Submitted: auto-generated",
    ...(isBad ? ["Importance: high"] : []),
    "MIME-Version: 1.0",
    "Content-Type: text/plain; charset=utf-8",
    `Content-Transfer-Encoding: ${isPlain ? "7bit" : "base64"}`,
  ];
  return `${headers.join("\n")}\n\n${isPlain ? body : base64Lines(body)}`;
}

/** As it is when it is printable ASCII and looks like no encoded word; otherwise as encoded words, folded. */
function subjectOf(title: string): string {
  if (/^[\x20-\x7e]*$/.test(title) && !title.includes("=?")) return title;
  const encoded: string[] = [];
  let word = "";
  for (const character of title) {
    if (Buffer.byteLength(word) + Buffer.byteLength(character) > encodedWordBytes) {
      encoded.push(word);
      word = "";
    }
    word += character;
  }
  return [...encoded, word].map((some) => `=?UTF-8?B?${Buffer.from(some).toString("base64")}?=`).join("\n ");
}

function base64Lines(text: string): string {
  const lines = Buffer.from(text).toString("base64").match(new RegExp(`.{1,${base64LineChars}}`, "g")) ?? [];
  return `${lines.join("\n")}\n`;
}
