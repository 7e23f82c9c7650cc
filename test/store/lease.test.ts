import { describe, expect, it, onTestFinished } from "vitest";
import { type LeaseOptions, leaseSupport, takeLease } from "../../src/store/lease.ts";
import type { Lease } from "../../src/store/lease-hold.ts";
import { leaseTiming, maxTtlMs, minTtlMs, ttlFor } from "../../src/store/lease-object.ts";
import { MemoryStore } from "../../src/store/memory.ts";
import type { Store } from "../../src/store/store.ts";
import { replace } from "../store.bodies.ts";
import { failureOf } from "../stream/sources.ts";
import { dataset, during, failures, host, key, settle, stored, successes, TestClock, timing } from "./lease-scene.ts";

/** Released with the test, so that nothing goes on in the background. */
async function take(store: Store, options: LeaseOptions): Promise<Lease> {
  const lease = await takeLease(store, dataset, options);
  onTestFinished(() => lease.release());
  return lease;
}

/** A lease whose holder was killed: nobody renews it. */
async function abandoned(store: Store, clock: TestClock, options: Partial<LeaseOptions> = {}): Promise<void> {
  const still = new TestClock();
  still.offset = { ...clock.offset };
  const lease = await takeLease(store, dataset, host("dead", still, options));
  onTestFinished(() => lease.release());
}

/** A server that takes no conditional replacement at all (RGW 16 and 18). */
function refusing(inner: MemoryStore): Store {
  return Object.assign(Object.create(inner) as MemoryStore, {
    get: inner.get.bind(inner),
    delete: inner.delete.bind(inner),
    put: (...[name, body, options]: Parameters<Store["put"]>) =>
      inner.put(name, body, typeof options.when === "object" ? { ...options, when: { etag: "another" } } : options),
  });
}

const far = 3_600_000;

describe("taking a lease", () => {
  it("writes who holds it, and for how long", async () => {
    const [store, clock] = [new MemoryStore(), new TestClock()];
    const lease = await take(store, host("höst\u001b", clock));
    const now = new Date(clock.wallMs()).toISOString();
    expect(await stored(store)).toEqual({
      format: 1,
      holder: "id-höst\u001b",
      host: "h?st?",
      epoch: 1,
      attempt: null,
      token: expect.stringMatching(/^[0-9a-f]{16}$/) as string,
      takenAt: now,
      renewedAt: now,
      ttlSeconds: 120,
      heartbeatSeconds: 30,
    });
    expect(lease.epoch).toBe(1);
    expect(lease.signal.aborted).toBe(false);
  });

  it("is won by exactly one of eight, and the others are told who", async () => {
    const [store, clock] = [new MemoryStore(), new TestClock()];
    const takers = Array.from({ length: 8 }, (_, index) => take(store, host(`h${index}`, clock)));
    const outcomes = await Promise.allSettled(takers);
    expect(successes(outcomes).map(({ epoch }) => epoch)).toEqual([1]);
    const { host: winner } = await stored(store);
    expect(failures(outcomes)).toHaveLength(7);
    for (const failure of failures(outcomes)) {
      expect(failure).toMatchObject({ code: "locked", message: expect.stringContaining(`"${winner}" holds`) as string });
    }
  });

  it("is refused while another host holds it, with since when and until when", async () => {
    const [store, clock] = [new MemoryStore(), new TestClock()];
    await take(store, host("a", clock));
    const since = new Date(clock.wallMs()).toISOString();
    const until = new Date(clock.wallMs() + 130_000).toISOString();
    expect(await failureOf(takeLease(store, dataset, host("b", clock)))).toMatchObject({
      code: "locked",
      message: `another run is at work on "tank/home": "a" holds the lease since ${since}, until ${until} at least`,
      hint: expect.stringContaining("wait") as string,
    });
  });

  it.for([
    [0, false],
    [129_999, false],
    [130_000, true],
    [far, true],
  ] as const)("from a holder silent for %i ms works only past time to live and skew: %s", async ([ms, isTaken]) => {
    const [store, clock] = [new MemoryStore(), new TestClock()];
    await abandoned(store, clock);
    const abandonedAt = Date.parse((await stored(store)).renewedAt);
    clock.skip(abandonedAt - clock.wallMs() + ms);
    const outcome = await during(take(store, host("b", clock)), clock, 90_000);
    if (isTaken) expect(outcome).toMatchObject({ status: "fulfilled", value: { epoch: 2 } });
    else expect(outcome).toMatchObject({ reason: { code: "locked" } });
    expect((await stored(store)).host).toBe(isTaken ? "b" : "dead");
  });

  it("from a dead holder is won by exactly one of eight", async () => {
    const [store, clock] = [new MemoryStore(), new TestClock()];
    await abandoned(store, clock);
    clock.skip(far);
    const takers = Array.from({ length: 8 }, (_, index) => take(store, host(`h${index}`, clock)));
    const [outcomes] = await Promise.all([Promise.allSettled(takers), clock.advance(100_000)]);
    expect(successes(outcomes).map(({ epoch }) => epoch)).toEqual([2]);
    expect(failures(outcomes).map((failure) => (failure as { code: string }).code)).toEqual(Array(7).fill("locked"));
  });

  it("from an earlier run of the same holder needs no waiting", async () => {
    const [store, clock] = [new MemoryStore(), new TestClock()];
    await abandoned(store, clock);
    expect((await take(store, host("dead", clock))).epoch).toBe(2);
  });

  it.for([
    ["the taker's clock is an hour ahead", far],
    ["the taker's clock is a day ahead", 24 * far],
  ] as const)("fails against a holder that lives, although %s", async ([, wallMs]) => {
    const [store, clock] = [new MemoryStore(), new TestClock()];
    await take(store, host("a", clock));
    const wrong: LeaseOptions["clock"] = {
      wallMs: () => clock.wallMs() + wallMs,
      bootMs: () => clock.bootMs(),
      sleep: (ms, options) => clock.sleep(ms, options),
    };
    expect(await during(takeLease(store, dataset, host("b", wrong)), clock, 90_000)).toMatchObject({
      reason: { code: "locked", message: expect.stringContaining('"a" holds') as string },
    });
    expect(await stored(store)).toMatchObject({ host: "a", epoch: 1 });
  });

  it("goes by the store's time where the holder's lies in the future", async () => {
    const [store, clock] = [new MemoryStore(), new TestClock()];
    const wrong = new TestClock();
    wrong.offset.wallMs = 1000 * far;
    await abandoned(store, wrong);
    expect(await failureOf(takeLease(store, dataset, host("b", clock)))).toMatchObject({ code: "locked" });
    clock.skip(far);
    expect(await during(take(store, host("b", clock)), clock, 90_000)).toMatchObject({ value: { epoch: 2 } });
  });

  it("goes by watching alone where this host's clock is behind everything", async () => {
    const [store, clock] = [new MemoryStore(), new TestClock()];
    await abandoned(store, clock);
    clock.offset.wallMs = -1000 * far;
    expect(await during(take(store, host("b", clock)), clock, 90_000)).toMatchObject({ status: "fulfilled" });
  });

  it.for([
    ["not JSON", "{"],
    ["nothing", ""],
    ["another version", JSON.stringify({ format: 2 })],
    ["far too long", " ".repeat(20_000)],
  ] as const)("waits out what is no lease (%s), and replaces it with a warning", async ([, text]) => {
    const [store, clock] = [new MemoryStore(), new TestClock()];
    await store.put(key, Buffer.from(text), replace);
    const warnings: string[] = [];
    const options = host("b", clock, { warn: (message) => warnings.push(message) });
    expect(await failureOf(takeLease(store, dataset, options))).toMatchObject({
      code: "locked",
      message: expect.stringContaining("no lease") as string,
    });
    clock.skip(131_000);
    expect(await during(take(store, options), clock, 90_000)).toMatchObject({ value: { epoch: 1 } });
    expect(warnings).toEqual(['"locks/tank/home.json" in "memory:" is no lease; it is replaced']);
  });

  it("does not believe a lease that would block for days", async () => {
    const [store, clock] = [new MemoryStore(), new TestClock()];
    await abandoned(store, clock);
    const lease = { ...(await stored(store)), ttlSeconds: 1e9, heartbeatSeconds: 1e9 };
    await store.put(key, Buffer.from(JSON.stringify(lease)), replace);
    clock.skip(131_000);
    const taking = take(store, host("b", clock, { warn: () => undefined }));
    expect(await during(taking, clock, 90_000)).toMatchObject({ status: "fulfilled" });
  });

  it("ends with the caller's reason while it watches", async () => {
    const [store, clock] = [new MemoryStore(), new TestClock()];
    await abandoned(store, clock);
    clock.skip(far);
    const caller = new AbortController();
    const taking = failureOf(takeLease(store, dataset, host("b", clock, { signal: caller.signal })));
    await settle();
    const reason = new Error("enough");
    caller.abort(reason);
    expect(await taking).toBe(reason);
  });

  it("works on a server that refuses conditions, with a warning, and is kept and fenced by looks", async () => {
    const [inner, clock] = [new MemoryStore(), new TestClock()];
    const store = refusing(inner);
    const warnings: string[] = [];
    const warn = (message: string): number => warnings.push(message);
    await abandoned(store, clock);
    clock.skip(far);
    const taken = await during(take(store, host("b", clock, { warn })), clock, 100_000);
    expect(taken).toMatchObject({ value: { epoch: 2 } });
    expect(warnings).toEqual([expect.stringContaining("refuses conditional writes")]);
    await clock.advance(10 * timing.ttlMs);
    const [lease] = successes([taken]);
    expect(lease?.signal.aborted).toBe(false);
    expect(Date.parse((await stored(store)).renewedAt)).toBeGreaterThan(clock.wallMs() - timing.heartbeatMs);
    await inner.put(key, Buffer.from(JSON.stringify({ ...(await stored(store)), token: "f", host: "c" })), replace);
    expect(await during(lease?.check() ?? Promise.resolve(), clock, 5000)).toMatchObject({ reason: { code: "locked" } });
  });

  it("finds out at the first renewal that a server refuses conditions", async () => {
    const [store, clock] = [refusing(new MemoryStore()), new TestClock()];
    const warnings: string[] = [];
    const lease = await take(store, host("b", clock, { warn: (message) => warnings.push(message) }));
    await clock.advance(10 * timing.ttlMs);
    expect(warnings).toHaveLength(1);
    expect(lease.signal.aborted).toBe(false);
  });

  it.for([
    { ttlMs: 30_000, heartbeatMs: 10_001 },
    { ttlMs: 25 * far, heartbeatMs: 30_000 },
    { ttlMs: far, heartbeatMs: 200_001 },
    { ttlMs: far, heartbeatMs: 999 },
    { skewMs: -1 },
  ])("with impossible times is a bug: %o", async (times) => {
    const options = host("a", new TestClock(), times);
    expect(await failureOf(takeLease(new MemoryStore(), dataset, options))).toMatchObject({ code: "bug" });
  });

  it("passes the store's refusal on", async () => {
    const options = host("a", new TestClock(), { signal: AbortSignal.abort(new Error("enough")) });
    expect(await failureOf(takeLease(new MemoryStore(), dataset, options))).toMatchObject({ message: "enough" });
  });
});

describe("what a store can do for leases", () => {
  it.for([
    ["/mnt/usb", "atomic"],
    ["file:///mnt/usb", "atomic"],
    ["s3://bucket/p", "atomic"],
    ["s3://bucket/p?endpoint=https://x.r2.cloudflarestorage.com", "atomic"],
    ["s3://bucket/p?endpoint=https://minio.lan", "tried"],
    ["s3://bucket/p?endpoint=https://s3.us-west-004.backblazeb2.com", "none"],
    ["s3://bucket/p?endpoint=https://storage.googleapis.com", "none"],
    ["s3://bucket/p?endpoint=https://rgw.lan&provider=b2", "none"],
  ] as const)("at %s is %s", ([url, support]) => {
    expect(leaseSupport(url, {})).toBe(support);
  });

  it.for([0, 60_000, far, 100 * far])("outlives an outage of %i ms, but never a day", (outageMs) => {
    const { ttlMs, heartbeatMs } = leaseTiming(ttlFor(outageMs));
    expect(ttlMs > outageMs || ttlMs === 24 * far).toBe(true);
    expect(heartbeatMs * 3).toBeLessThanOrEqual(ttlMs);
  });

  it.for([
    [0, { ttlMs: minTtlMs, heartbeatMs: 3333, skewMs: minTtlMs }],
    [minTtlMs, { ttlMs: minTtlMs, heartbeatMs: 3333, skewMs: minTtlMs }],
    [90_000, { ttlMs: 90_000, heartbeatMs: 30_000, skewMs: 60_000 }],
    [Infinity, { ttlMs: maxTtlMs, heartbeatMs: 30_000, skewMs: 60_000 }],
  ] as const)("that is to live for %d ms can be kept", async ([ttlMs, timing]) => {
    expect(leaseTiming(ttlMs)).toEqual(timing);
    const lease = await takeLease(new MemoryStore(), dataset, host("a", new TestClock(), leaseTiming(ttlMs)));
    await lease.release();
  });
});

