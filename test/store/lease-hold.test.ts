import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type LeaseOptions, takeLease } from "../../src/store/lease.ts";
import type { Lease } from "../../src/store/lease-hold.ts";
import { MemoryStore } from "../../src/store/memory.ts";
import { type FaultyStore, faultyStore, networkError, serviceError } from "../faulty-store.ts";
import { replace, signal } from "../store.bodies.ts";
import { failureOf } from "../stream/sources.ts";
import { dataset, during, host, key, settle, stored, TestClock, timing } from "./lease-scene.ts";

describe("a lease that is held", () => {
  let memory: MemoryStore;
  let store: FaultyStore;
  let clock: TestClock;
  let warnings: string[];
  let lease: Lease;
  const hold = (overrides: Partial<LeaseOptions> = {}): Promise<Lease> =>
    takeLease(store, dataset, host("a", clock, { warn: (message) => warnings.push(message), ...overrides }));
  /** Another host's lease in the place of this one. */
  const overtake = async (): Promise<void> => {
    const other = { ...(await stored(memory)), holder: "id-b", host: "b", token: "another", epoch: 2 };
    await memory.put(key, Buffer.from(JSON.stringify(other)), replace);
  };

  beforeEach(async () => {
    memory = new MemoryStore();
    store = { ...faultyStore(memory), limits: { ...memory.limits, sameKeySpacingMs: 1000 } }; // as R2 has it
    clock = new TestClock();
    warnings = [];
    lease = await hold();
  });
  afterEach(async () => {
    await lease.release();
    store.assertAllFired();
  });

  it("is kept by a renewal every heartbeat, and nobody else gets it", async () => {
    for (let round = 0; round < 40; round += 1) {
      await clock.advance(timing.heartbeatMs);
      expect(await failureOf(takeLease(memory, dataset, host("b", clock)))).toMatchObject({ code: "locked" });
    }
    expect(lease.signal.aborted).toBe(false);
    expect(store.calls).toEqual(["get", ...Array<string>(41).fill("put")]);
    expect(await stored(memory)).toMatchObject({ epoch: 1, host: "a" });
  });

  it("survives renewals that fail, as long as one succeeds in time", async () => {
    for (let round = 0; round < 5; round += 1) {
      store.fail("put", { when: "before", error: serviceError("InternalError", 500) }, 2);
      await clock.advance(3 * timing.heartbeatMs);
      expect(lease.signal.aborted).toBe(false);
    }
  });

  it("is lost when no renewal succeeded for its time to live, not a millisecond later or earlier", async () => {
    const outage = networkError();
    store.fail("put", { when: "before", error: outage }, 3);
    await clock.advance(timing.ttlMs - 1);
    expect(lease.signal.aborted).toBe(false);
    await clock.advance(1);
    expect(lease.signal.reason).toMatchObject({
      code: "locked",
      message: 'the lease on "tank/home" could not be renewed for 120 s',
      cause: outage,
    });
    expect(await failureOf(lease.check())).toBe(lease.signal.reason);
  });

  it("is lost as well while a renewal waits for an answer that never comes", async () => {
    await lease.release();
    const hung = Object.assign(Object.create(memory) as MemoryStore, {
      get: memory.get.bind(memory),
      put: (...[name, body, options]: Parameters<MemoryStore["put"]>) =>
        options.when === "create"
          ? memory.put(name, body, options)
          : new Promise<never>((_resolve, reject) => {
              options.signal.addEventListener("abort", () => {
                reject(options.signal.reason as Error);
              });
            }),
    });
    lease = await takeLease(hung, dataset, host("a", clock));
    const checking = failureOf(lease.check());
    await clock.advance(timing.ttlMs);
    expect(await checking).toMatchObject({ code: "locked" });
    expect(lease.signal.aborted).toBe(true);
  });

  it.for([
    ["stopped", { wallMs: 0, bootMs: 0 }],
    ["suspended with its machine, whose wall clock is not yet right", { wallMs: -200_000, bootMs: 0 }],
    ["paused by its hypervisor, which the machine has not noticed", { wallMs: 0, bootMs: -200_000 }],
  ] as const)("cannot be checked by a holder that was %s past its end, taken over or not", async ([, missed]) => {
    clock.skip(200_000);
    clock.offset = missed;
    expect(await failureOf(lease.check())).toMatchObject({ code: "locked" });
    expect(lease.signal.aborted).toBe(true);
    expect(store.calls).toEqual(["get", "put"]);
  });

  it("cannot be checked by a holder that was stopped and taken over, and the new lease is untouched", async () => {
    clock.skip(200_000);
    await overtake();
    expect(await failureOf(lease.check())).toMatchObject({ code: "locked" });
    await lease.release();
    expect(await stored(memory)).toMatchObject({ host: "b", epoch: 2 });
  });

  it("cannot be checked once taken over, although all clocks say it is valid", async () => {
    await overtake();
    clock.skip(2000);
    expect(await failureOf(lease.check())).toMatchObject({
      code: "locked",
      message: 'the lease on "tank/home" was taken over by "b"',
      hint: expect.stringContaining("nothing was committed") as string,
    });
  });

  it.for([
    ["lies there as it was, although it has run out", () => Promise.resolve(), true],
    ["is another's", overtake, false],
    ["is gone", () => memory.delete([key], { signal }), false],
  ] as const)("%s: by that its holder knows whether anybody took it over", async ([, happen, isStillOwn]) => {
    clock.skip(2 * timing.ttlMs);
    await happen();
    await settle();
    expect(await lease.isStillOwn(signal)).toBe(isStillOwn);
  });

  it("is known to be lost at the next heartbeat, whoever took it", async () => {
    await overtake();
    await clock.advance(timing.heartbeatMs);
    expect(lease.signal.reason).toMatchObject({ code: "locked", message: expect.stringContaining('"b"') as string });
  });

  it.for([
    ["removed", null, "is gone"],
    ["overwritten by garbage", "{", "something else"],
  ] as const)("is lost when it was %s", async ([, text, how]) => {
    if (text === null) await memory.delete([key], { signal });
    else await memory.put(key, Buffer.from(text), replace);
    await clock.advance(timing.heartbeatMs);
    expect(lease.signal.reason).toMatchObject({ code: "locked", message: expect.stringContaining(how) as string });
  });

  it("goes on from its own renewal whose answer was lost", async () => {
    store.fail("put", { when: "after", error: networkError() }, 2);
    await clock.advance(10 * timing.ttlMs);
    expect(lease.signal.aborted).toBe(false);
    expect(warnings).toEqual([]);
  });

  it("is renewed by a check, no sooner after the last write than the store takes it", async () => {
    const takenAt = clock.wallMs();
    const checks = Promise.all([lease.check(), lease.check(), lease.check()]).then(() => clock.wallMs());
    await clock.advance(10_000);
    expect((await checks) - takenAt).toBe(3000);
    expect(Date.parse((await stored(memory)).renewedAt)).toBe(takenAt + 3000);
  });

  it("is renewed by a check at once where the store sets no limit", async () => {
    await lease.release();
    store = faultyStore(memory);
    lease = await hold();
    const takenAt = clock.wallMs();
    await Promise.all([lease.check(), lease.check(), lease.check()]);
    expect(clock.wallMs()).toBe(takenAt);
  });

  it("is not lost because a check could not reach the store, which the caller hears", async () => {
    const outage = networkError();
    store.fail("put", { when: "before", error: outage });
    expect(await during(lease.check(), clock, 1000)).toMatchObject({ reason: outage });
    expect(lease.signal.aborted).toBe(false);
    expect(await during(lease.check(), clock, 1000)).toMatchObject({ status: "fulfilled" });
  });

  it("ends with the caller's reason, and is removed all the same", async () => {
    await lease.release();
    const caller = new AbortController();
    lease = await hold({ signal: caller.signal });
    const reason = new Error("interrupted");
    caller.abort(reason);
    expect(lease.signal.reason).toBe(reason);
    expect(await failureOf(lease.check())).toBe(reason);
    await lease.release();
    expect(await memory.head(key, { signal })).toBeNull();
  });

  it("is removed when released, twice or not, and renewed no more", async () => {
    await Promise.all([lease.release(), lease.release()]);
    await lease.release();
    expect(await memory.head(key, { signal })).toBeNull();
    await clock.advance(10 * timing.ttlMs);
    expect(store.calls).toEqual(["get", "put", "get", "delete"]);
    expect(lease.signal.aborted).toBe(false);
    expect(await failureOf(lease.check())).toMatchObject({ code: "bug" });
    lease = await hold();
    expect(lease.epoch).toBe(1);
  });

  it("is not removed when another has it by now", async () => {
    await overtake();
    await lease.release();
    expect(await stored(memory)).toMatchObject({ host: "b" });
  });

  it("is not removed when it is about to run out, because that cannot be done conditionally", async () => {
    clock.skip(timing.ttlMs - 9_999);
    await lease.release();
    expect(await stored(memory)).toMatchObject({ host: "a" });
  });

  it.for(["get", "delete"] as const)("stays with a warning when it cannot be removed (%s fails)", async (verb) => {
    store.fail(verb, { when: "before", error: networkError() });
    await lease.release();
    expect(warnings).toEqual([expect.stringMatching(/^the lease on "tank\/home" could not be removed .* ECONNRESET$/)]);
  });

  it("lets go of a renewal that is under way", async () => {
    const checking = failureOf(lease.check());
    await settle();
    await lease.release();
    expect(await checking).toMatchObject({ message: "released" });
    expect(await memory.head(key, { signal })).toBeNull();
  });
});
