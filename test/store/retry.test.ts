import { describe, expect, it } from "vitest";
import { ZferryError } from "../../src/errors.ts";
import { retry } from "../../src/store/retry.ts";
import type { RetryPolicy } from "../../src/store/retry.ts";
import { faultOf } from "../../src/store/transient.ts";
import { networkError, serviceError } from "../faulty-store.ts";
import { impatient } from "./s3-bench.ts";

const { signal } = new AbortController();

/** Fails as told, then succeeds. */
function failing(errors: readonly Error[]): (attempt: number) => Promise<number> {
  return (attempt) => {
    const error = errors[attempt - 1];
    return error === undefined ? Promise.resolve(attempt) : Promise.reject(error);
  };
}

const times = (count: number, error: Error = networkError()): Error[] => Array.from({ length: count }, () => error);
const run = (operation: (attempt: number) => Promise<number>, policy: RetryPolicy): Promise<number> =>
  retry(operation, { what: "work", policy, signal });

describe("retry", () => {
  it("does a thing once when it succeeds", async () => {
    const policy = impatient();
    expect(await run(failing([]), policy)).toBe(1);
    expect(policy.notices).toEqual([]);
  });

  it("waits twice as long each time, up to the longest wait, times the dice", async () => {
    const policy = impatient({ firstDelayMs: 100, maxDelayMs: 1000 });
    await run(failing(times(6)), policy);
    expect(policy.notices.map(({ delayMs }) => delayMs)).toEqual([50, 100, 200, 400, 500, 500]);
    expect(policy.notices.map(({ attempt }) => attempt)).toEqual([1, 2, 3, 4, 5, 6]);
    expect(policy.notices.every(({ what }) => what === "work")).toBe(true);
  });

  it("waits as long as the server asks for, but no longer than the longest wait", async () => {
    const asking = (seconds: string): Error =>
      Object.assign(serviceError("SlowDown", 503), { $response: { headers: { "retry-after": seconds } } });
    const policy = impatient();
    await run(failing([asking("7"), asking("7200"), asking("soon")]), policy);
    expect(policy.notices.map(({ delayMs }) => delayMs)).toEqual([7000, 60_000, 1000]);
  });

  it("gives up when the next try would be beyond the budget, and keeps the cause", async () => {
    const policy = impatient({ budgetMs: 1000, firstDelayMs: 200, maxDelayMs: 400 });
    const error: unknown = await run(failing(times(50)), policy).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({
      code: "store-failed",
      message: "injected ECONNRESET; given up after 6 tries in 1 s",
    });
    expect((error as Error).cause).toMatchObject({ code: "ECONNRESET" });
  });

  it("tries once what comes behind an operation that was in vain, and is patient again as soon as something works", async () => {
    const policy = { ...impatient({ budgetMs: 1000, firstDelayMs: 200, maxDelayMs: 400 }), outage: { isOn: false } };
    await expect(run(failing(times(50)), policy)).rejects.toMatchObject({ message: expect.stringContaining("given up after 6 tries") as string });
    const waits = policy.notices.length;
    await expect(run(failing(times(50)), policy)).rejects.toMatchObject({ code: "store-failed", message: expect.stringContaining("waited for in vain just before") as string });
    expect(policy.notices).toHaveLength(waits);
    expect(await run(failing([]), policy)).toBe(1);
    expect(await run(failing(times(3)), policy)).toBe(4);
  });

  it.for([
    ["a refusal", new ZferryError("store-denied", "no")],
    ["bytes damaged on their way", serviceError("BadDigest", 400)],
  ] as const)("is as patient as before behind %s", async ([, error]) => {
    const policy = { ...impatient(), outage: { isOn: false } };
    await expect(run(failing(times(50, error)), policy)).rejects.toBeInstanceOf(ZferryError);
    expect(await run(failing(times(2)), policy)).toBe(3);
  });

  it("counts the budget from the first failure, not from the start", async () => {
    const policy = impatient({ budgetMs: 1000 });
    const slow = async (attempt: number): Promise<number> => {
      if (attempt === 1) await policy.clock?.sleep(100_000, signal);
      return failing(times(1))(attempt);
    };
    expect(await run(slow, policy)).toBe(2);
  });

  it("tries only once with no budget", async () => {
    await expect(run(failing(times(1)), impatient({ budgetMs: 0 }))).rejects.toThrow("given up after 1 tries");
  });

  it("is not tried again by a retry around it once it has given up", async () => {
    const inner = impatient({ budgetMs: 0 });
    const outer = impatient();
    await expect(run(() => run(failing(times(9)), inner), outer)).rejects.toMatchObject({ code: "store-failed" });
    expect(outer.notices).toEqual([]);
  });

  it("throws what cannot be cured at once and as it is, even after what could", async () => {
    const denied = new ZferryError("store-denied", "no");
    await expect(run(failing([networkError(), denied]), impatient())).rejects.toBe(denied);
  });

  it("tries damaged uploads three more times, and a wrong clock once", async () => {
    expect(await run(failing(times(3, serviceError("BadDigest", 400))), impatient())).toBe(4);
    await expect(run(failing(times(4, serviceError("BadDigest", 400))), impatient())).rejects.toThrow("4 tries");
    expect(await run(failing(times(1, serviceError("RequestTimeTooSkewed", 403))), impatient())).toBe(2);
    await expect(run(failing(times(2, serviceError("RequestTimeTooSkewed", 403))), impatient())).rejects.toThrow(
      "2 tries",
    );
  });

  it("stops with the signal's reason: before, during a try, and while it waits", async () => {
    const before = AbortSignal.abort(new Error("stop"));
    const never = retry(failing([]), { what: "w", policy: impatient(), signal: before });
    await expect(never).rejects.toThrow("stop");
    const during = new AbortController();
    const abortingTry = (): Promise<number> => {
      during.abort(new Error("stop"));
      return Promise.reject(networkError());
    };
    await expect(retry(abortingTry, { what: "w", policy: impatient(), signal: during.signal })).rejects.toThrow("stop");
    const waiting = new AbortController();
    const policy: RetryPolicy = {
      budgetMs: 1e9,
      firstDelayMs: 1e8,
      maxDelayMs: 1e8,
      onRetry: () => {
        setTimeout(() => {
          waiting.abort(new Error("stop"));
        }, 5);
      },
    };
    await expect(retry(failing(times(2)), { what: "w", policy, signal: waiting.signal })).rejects.toThrow("stop");
  });
});

describe("the table of failures", () => {
  const failed = (cause: unknown): ZferryError => new ZferryError("store-failed", "x", { cause });
  it.for<[string, unknown, string]>([
    ...["ECONNRESET", "ECONNREFUSED", "EPIPE", "ETIMEDOUT", "EAI_AGAIN", "ENOTFOUND", "ENETUNREACH"].map(
      (code): [string, unknown, string] => [code, networkError(code), "transient"],
    ),
    ...[408, 429, 500, 502, 503, 504, 520, 522, 524, 527].map((status): [string, unknown, string] => [
      `HTTP ${status}`,
      serviceError("UnknownError", status),
      "transient",
    ]),
    ...["RequestTimeout", "IncompleteBody", "SlowDown", "InternalError", "ClientDisconnect"].map(
      (name): [string, unknown, string] => [`${name} with 400`, serviceError(name, 400), "transient"],
    ),
    ["an answer of 200 that cannot be parsed", serviceError("Error", 200), "transient"],
    ["TimeoutError of the handler", Object.assign(new Error("t"), { name: "TimeoutError" }), "transient"],
    ["BadDigest", serviceError("BadDigest", 400), "digest"],
    ["a body that fails its signature", serviceError("XAmzContentSHA256Mismatch", 400), "digest"],
    ["RequestTimeTooSkewed", serviceError("RequestTimeTooSkewed", 403), "clock"],
    ...[400, 401, 403, 404, 405, 411, 412, 416, 501, 507].map((status): [string, unknown, string] => [
      `HTTP ${status}`,
      serviceError("SomeCode", status),
      "permanent",
    ]),
    ["NoSuchUpload", serviceError("NoSuchUpload", 404), "permanent"],
    ["a certificate", networkError("CERT_HAS_EXPIRED"), "permanent"],
    ["a full disk", networkError("ENOSPC"), "permanent"],
    ["a bug", new TypeError("x is not a function"), "permanent"],
    ["what is no error", "text", "permanent"],
    ["store-failed for a reset", failed(networkError()), "transient"],
    ["store-failed for a reason of its own", failed(undefined), "permanent"],
    ["store-denied, whatever the cause", new ZferryError("store-denied", "x", { cause: networkError() }), "permanent"],
    ["object-exists", new ZferryError("object-exists", "x", { cause: serviceError("x", 503) }), "permanent"],
  ])("%s", ([, error, fault]) => {
    expect(faultOf(error)).toBe(fault);
  });
});
