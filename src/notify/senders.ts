/**
 * From the settings of a notifier to the one function that tries to tell it something once.
 *
 * Secrets are read anew for each message: a run takes hours, and a token that was renewed meanwhile is used.
 */
import { type Confidential, isWebUrl, type NotifySettings, urlWords } from "../config/notify.ts";
import { isZferryError } from "../errors.ts";
import { readSecret } from "../secrets.ts";
import { post } from "./http.ts";
import { mailOf } from "./mail.ts";
import { type Message, oneLine } from "./message.ts";
import { failed, type Outcome } from "./outcome.ts";
import { run } from "./program.ts";
import { healthchecksRequest, type HttpRequest, isOfJobs, ntfyRequest, pushoverRequest, webhookRequest } from "./requests.ts";

type Environment = Readonly<Record<string, string | undefined>>;

/** One try. Ends soon after it was aborted, and never rejects but for a bug. */
export type Send = (message: Message, signal: AbortSignal) => Promise<Outcome>;

export function senderFor(settings: NotifySettings, environment: Environment): Send {
  if (settings.type === "mail") {
    const command: readonly [string, ...string[]] = [...settings.sendmail, "-t", "-i"];
    return (message, signal) => run(command, { input: mailOf(settings, message), environment, isStderrShown: true, signal });
  }
  if (settings.type === "command") {
    return (message, signal) => run(settings.command, { input: `${message.document}\n`, environment, isStderrShown: false, signal });
  }
  return async (message, signal) => {
    const request = await requestOf(settings, message, environment);
    return "kind" in request ? request : post(request, signal);
  };
}

type HttpSettings = Exclude<NotifySettings, { type: "mail" | "command" }>;

/** The request; or why there is none, when a secret cannot be had or is of no use in it. */
async function requestOf(settings: HttpSettings, message: Message, environment: Environment): Promise<HttpRequest | Outcome> {
  const secretOf = async (source: Confidential, what: string): Promise<string> =>
    source.kind === "plain" ? source.value : printable(await readSecret(source, `${what} of notifier "${settings.name}"`, environment), what);
  const ifAny = (source: Confidential | null, what: string): Promise<string> | null => (source === null ? null : secretOf(source, what));
  try {
    switch (settings.type) {
      case "webhook": {
        const headers = await Promise.all([...settings.headers].map(async ([name, value]) => [name, await secretOf(value, `header ${name}`)] as const));
        const url = usable(await secretOf(settings.url, "URL"));
        return webhookRequest({ url, headers: new Map(headers), signWith: await ifAny(settings.signWith, "key") }, message);
      }
      case "ntfy": {
        const [topic, token] = [await secretOf(settings.topic, "topic"), await ifAny(settings.token, "token")];
        return ntfyRequest({ server: settings.server, topic, token }, message);
      }
      case "pushover": {
        const [token, user] = [await secretOf(settings.token, "token"), await secretOf(settings.user, "user key")];
        return pushoverRequest({ server: settings.server, token, user }, message);
      }
      case "healthchecks": {
        const url = usable(await secretOf(settings.url, "URL"));
        if (message.job === null && isOfJobs(url)) return failed("its URL is that of a job's check, and this is of no job", { isFinal: true });
        return healthchecksRequest(url, message);
      }
    }
  } catch (error) {
    if (error instanceof UnusableSecret || isZferryError(error, "secret-unusable")) {
      return failed(oneLine(error.message, 300), { isFinal: true });
    }
    throw error;
  }
}

/** A secret that was read and is not what it has to be; the message does not quote it. */
class UnusableSecret extends Error {}

/** What a header can carry; fetch would quote anything else in its complaint. */
function printable(secret: string, what: string): string {
  if (/^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/.test(secret)) return secret;
  throw new UnusableSecret(`its ${what} is not printable ASCII`);
}

function usable(url: string): string {
  if (isWebUrl(url)) return url;
  throw new UnusableSecret(`its URL ${urlWords}`);
}
