/**
 * The services that are told by HTTP, each as the one request it wants. Pure: secrets come in as text.
 *
 * ntfy: https://docs.ntfy.sh/publish/#publish-as-json; Pushover: https://pushover.net/api; Healthchecks:
 * https://healthchecks.io/docs/http_api/.
 */
import { createHmac } from "node:crypto";
import type { Message } from "./message.ts";

export interface HttpRequest {
  /** May hold a token: never shown. */
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** The header of a webhook's signature: `sha256=` and the HMAC-SHA256 of the body in hexadecimal, as GitHub signs its own. */
export const signatureHeader = "x-zferry-signature";

export interface WebhookSecrets {
  readonly url: string;
  readonly headers: ReadonlyMap<string, string>;
  readonly signWith: string | null;
}

export function webhookRequest({ url, headers, signWith }: WebhookSecrets, { document }: Message): HttpRequest {
  const signature = signWith === null ? {} : { [signatureHeader]: `sha256=${createHmac("sha256", signWith).update(document).digest("hex")}` };
  const own = Object.fromEntries([...headers].map(([name, value]) => [name.toLowerCase(), value]));
  return { url, headers: { "content-type": "application/json", ...own, ...signature }, body: document };
}

export interface NtfySecrets {
  readonly server: string;
  readonly topic: string;
  readonly token: string | null;
}

/** As JSON to the server itself: headers could not carry every character. */
export function ntfyRequest({ server, topic, token }: NtfySecrets, { title, text, kind, isBad }: Message): HttpRequest {
  const priority = isBad ? 4 : kind === "start" || kind === "success" ? 2 : 3;
  const tags = [isBad ? "warning" : "white_check_mark"];
  return {
    url: server,
    headers: { "content-type": "application/json", ...(token === null ? {} : { authorization: `Bearer ${token}` }) },
    body: JSON.stringify({ topic, title, message: text, priority, tags }),
  };
}

export interface PushoverSecrets {
  readonly server: string;
  readonly token: string;
  readonly user: string;
}

export function pushoverRequest({ server, token, user }: PushoverSecrets, { title, text, kind, isBad, at }: Message): HttpRequest {
  const priority = isBad ? "1" : kind === "start" || kind === "success" ? "-1" : "0";
  const timestamp = String(Math.floor(at.getTime() / 1000));
  return {
    url: new URL("/1/messages.json", server).href,
    headers: { "content-type": "application/x-www-form-urlencoded" },
    body: new URLSearchParams({ token, user, title, message: text, priority, timestamp }).toString(),
  };
}

const placeOfJob = /\{job\}|%7Bjob%7D/gi;

/** Whether there is a check for each job, and so none for what is of no job. */
export function isOfJobs(url: string): boolean {
  return url.search(placeOfJob) >= 0;
}

/** A check for each job, where its URL says `{job}`. */
export function healthchecksRequest(url: string, { kind, job, title, text }: Message): HttpRequest {
  const check = new URL(url.replaceAll(placeOfJob, encodeURIComponent(job ?? "")));
  const ending = kind === "start" ? "/start" : kind === "success" ? "" : "/fail";
  check.pathname = `${check.pathname.replace(/\/$/, "")}${ending}`;
  return { url: check.href, headers: { "content-type": "text/plain; charset=utf-8" }, body: `${title}\n${text}\n` };
}
