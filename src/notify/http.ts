/**
 * One HTTP request of a notifier. What is said of a failure names neither URL nor header nor reply, because tokens stand
 * in all of them. Redirections are not followed: they would carry a token to a host nobody named.
 */
import { failed, type Outcome, sent } from "./outcome.ts";
import type { HttpRequest } from "./requests.ts";

/** Statuses that another try may mend, beside all from 500 on. */
const worthATry: ReadonlySet<number> = new Set([408, 425, 429]);

/** Never rejects. */
export async function post({ url, headers, body }: HttpRequest, signal: AbortSignal): Promise<Outcome> {
  try {
    const response = await fetch(url, { method: "POST", headers, body, redirect: "manual", signal });
    // The reply says nothing that counts, and may have no end.
    await response.body?.cancel();
    if (response.ok) return sent;
    return failed(`it answered ${response.status}`, { isFinal: response.status < 500 && !worthATry.has(response.status) });
  } catch (error) {
    return failed(reasonOf(error), { isFinal: false });
  }
}

/** The system's or undici's code, as ECONNREFUSED; what else stands in such errors may quote what was sent. */
function reasonOf(error: unknown): string {
  for (let cause = error, depth = 0; cause instanceof Error && depth < 5; cause = cause.cause, depth += 1) {
    const code = "code" in cause ? cause.code : undefined;
    if (typeof code === "string" && /^[A-Z][A-Z0-9_]{1,60}$/.test(code)) return `it cannot be reached: ${code}`;
  }
  return "the request could not be made";
}
