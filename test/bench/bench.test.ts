/** What `bench` makes of figures, and what it leaves in a store: nothing, whatever happens. */
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { bench, type BenchRequest, type BenchResult } from "../../src/bench/bench.ts";
import { adviceFor, type BenchFigures, limitOf } from "../../src/bench/advice.ts";
import { parseSource, synthetic } from "../../src/bench/source.ts";
import type { Figures, Trial } from "../../src/bench/stages.ts";
import { KiB, MiB } from "../../src/bytes.ts";
import { MemoryStore } from "../../src/store/memory.ts";
import type { Store } from "../../src/store/store.ts";
import { ZferryError } from "../../src/errors.ts";
import { faultyStore, type FaultyStore } from "../faulty-store.ts";
import { failureOf } from "../stream/sources.ts";

const usual = { packet: null, threads: null, concurrency: null, bytes: 1e9, seconds: 2, cpuSecondsPerGib: 1, busyCores: 1, mainThreadShare: 0.4, peakRssBytes: 1 };
const sealed = { packet: "ocb", threads: 2 } as const;

/** Rates by stage; what is left out is as usual. */
function figuresOf(rates: Partial<Record<"source" | "inspect" | "seal" | "store", Partial<Figures>>>, comparisons: readonly Partial<Figures>[] = [], coreCount = 4): BenchFigures {
  const { source, inspect, seal, store } = rates;
  const all = [
    { ...usual, stage: "source" as const, mibPerSecond: 5000, ...source },
    { ...usual, stage: "inspect" as const, mibPerSecond: 3000, ...inspect },
    { ...usual, ...sealed, stage: "seal" as const, mibPerSecond: 1200, ...seal },
    ...(store === undefined ? [] : [{ ...usual, ...sealed, stage: "store" as const, mibPerSecond: 1000, ...store }]),
  ];
  return { ladder: all, comparisons: comparisons.map((one) => ({ ...usual, stage: "seal" as const, mibPerSecond: 100, ...one })), coreCount };
}

const at = (mibPerSecond: number): { mibPerSecond: number } => ({ mibPerSecond });
const uploaded = (mibPerSecond: number, concurrency = 4): Partial<Figures> => ({ stage: "upload", mibPerSecond, concurrency });

describe("the stage that limits", () => {
  it.for([
    ["the source when all else keeps up with it", figuresOf({ source: at(200), inspect: at(199), seal: at(198) }), "source", null],
    ["the source although what follows takes a little", figuresOf({ source: at(200), inspect: at(195), seal: at(185) }), "source", null],
    ["the inspection when it is slower than the source, and sealing no slower", figuresOf({ inspect: at(1250), seal: at(1200) }), "inspect", 5000],
    ["sealing when it is slower than what comes before it", figuresOf({ seal: at(1200) }), "seal", 3000],
    ["sealing when the store alone is faster", figuresOf({ store: at(1100) }, [uploaded(2000)]), "seal", 2000],
    ["the store when alone it is slower than sealing", figuresOf({ store: at(290) }, [uploaded(300)]), "store", 1200],
    ["the source when even the store is faster", figuresOf({ source: at(100), inspect: at(100), seal: at(100), store: at(98) }, [uploaded(300)]), "source", null],
  ] as const)("is %s", ([, figures, stage, without]) => {
    expect(limitOf(figures)).toMatchObject({ stage, withoutItMibPerSecond: without, mibPerSecond: figures.ladder.at(-1)?.mibPerSecond });
  });

  it.for([
    [{ busyCores: 3.4, mainThreadShare: 0.5 }, "processor"],
    [{ busyCores: 3.3, mainThreadShare: 0.9 }, "main-thread"],
    [{ busyCores: 3.3, mainThreadShare: 0.8 }, "waiting"],
  ] as const)("with %j on four cores is short of %s", ([seal, resource]) => {
    expect(limitOf(figuresOf({ seal })).resource).toBe(resource);
  });
});

describe("advice", () => {
  const other = { packet: "ocb", threads: 2 } as const;
  const cfb = { packet: "cfb", threads: 2, cpuSecondsPerGib: 3 } as const;

  it.for([
    ["that the source is the limit", figuresOf({ source: at(200), inspect: at(199), seal: at(198) }), ["source"]],
    ["for another packet that was faster and cheaper", figuresOf({ seal: { ...cfb, mibPerSecond: 400 } }, [{ ...other, mibPerSecond: 900 }]), ["packet"]],
    ["for no packet that was faster by chance, at the same cost", figuresOf({ seal: { ...cfb, mibPerSecond: 400 } }, [{ ...other, mibPerSecond: 900, cpuSecondsPerGib: 2.9 }]), []],
    ["for no packet that is hardly faster", figuresOf({ seal: { ...cfb, mibPerSecond: 800 } }, [{ ...other, mibPerSecond: 900 }]), []],
    ["for no packet when sealing is not the limit", figuresOf({ source: at(300), inspect: at(300), seal: { ...cfb, mibPerSecond: 290 } }, [{ ...other, mibPerSecond: 900 }]), ["source"]],
    ["for no packet that gpg cannot read", figuresOf({ seal: at(400) }, [{ packet: "rfc9580", threads: 2, mibPerSecond: 900, cpuSecondsPerGib: 0.1 }]), []],
    ["never to leave encryption away", figuresOf({ seal: at(400) }, [{ packet: "none", threads: 2, mibPerSecond: 3000 }]), []],
    ["for no threads where they are in each other's way", figuresOf({ seal: at(400) }, [{ packet: "ocb", threads: 0, mibPerSecond: 500 }]), ["threads"]],
    ["for threads", figuresOf({ seal: { threads: 0, mibPerSecond: 400 } }, [{ packet: "ocb", threads: 2, mibPerSecond: 700 }]), ["threads"]],
    ["for no other threads when the second run of the same was as fast", figuresOf({ seal: at(400) }, [{ packet: "ocb", threads: 0, mibPerSecond: 500 }, { packet: "ocb", threads: 2, mibPerSecond: 480 }]), []],
    ["for more parts in flight that were faster", figuresOf({ store: at(100) }, [uploaded(100), uploaded(180, 8)]), ["concurrency"]],
    ["that more parts in flight do not help", figuresOf({ store: at(100) }, [uploaded(100), uploaded(105, 8)]), ["line"]],
    ["that a folder is the limit", figuresOf({ store: at(100) }, [uploaded(100)]), ["store"]],
    ["that all cores are busy", figuresOf({ seal: { busyCores: 4 } }), ["processor"]],
    ["that figures contradict each other", figuresOf({ source: at(100), inspect: at(95), seal: at(200) }), ["source", "unsteady"]],
    ["that there was too little to measure", figuresOf({ seal: { seconds: 0.1 } }), ["short"]],
  ] as const)("is given %s", ([, figures, codes]) => {
    const advice = adviceFor(figures, limitOf(figures));
    expect(advice.map(({ code }) => code).sort()).toEqual([...codes]);
    for (const { text } of advice) expect(text).not.toMatch(/undefined|NaN|null/);
  });

  it("names the setting and both rates", () => {
    const figures = figuresOf({ seal: { ...cfb, mibPerSecond: 400 } }, [{ ...other, mibPerSecond: 1200 }]);
    expect(adviceFor(figures, limitOf(figures))[0]?.text).toBe(
      'packet "cfb" takes 3.0 times the processor time of "ocb": --packet ocb seals 1.17 GiB/s instead of 400 MiB/s',
    );
  });
});

describe("a run", () => {
  const sizeBytes = 2 * MiB;

  function request(store: Store | null, extra: Partial<BenchRequest> = {}): BenchRequest {
    return {
      open: (signal) => synthetic(sizeBytes, signal),
      maxBytes: Infinity,
      packet: "ocb",
      threads: 0,
      layout: { chunkBytes: 256 * KiB, partBytes: 64 * KiB },
      store: store === null ? null : { kind: "directory", concurrency: 4, use: (_concurrency, work) => work(store) },
      coreCount: 1,
      usage: () => ({ cpuSeconds: 1, rssBytes: 2, peakRssBytes: 3 }),
      onTrial: () => undefined,
      warn: (text) => {
        throw new Error(`unexpected: ${text}`);
      },
      signal: new AbortController().signal,
      ...extra,
    };
  }

  async function keysOf(store: Store): Promise<string[]> {
    const keys: string[] = [];
    for await (const { key } of store.list("", { signal: new AbortController().signal })) keys.push(key);
    return keys;
  }

  const short = ({ ladder, comparisons }: BenchResult): string[] => [...ladder, ...comparisons].map(({ stage, packet }) => `${stage} ${packet ?? ""}`.trim());

  it("without a store measures each stage and the other packets, each of them with all the bytes there are", async () => {
    const result = await bench(request(null));
    expect(short(result)).toEqual(["source", "inspect", "seal ocb", "seal cfb", "seal rfc9580", "seal none", "seal ocb"]);
    for (const { bytes, seconds } of [...result.ladder, ...result.comparisons]) {
      expect(bytes).toBeGreaterThanOrEqual(sizeBytes);
      expect(seconds).toBeGreaterThan(0);
    }
    expect(result.peakRssBytes).toBe(3);
  });

  it("reads no more than it may in each trial", async () => {
    const { ladder, comparisons } = await bench(request(null, { maxBytes: MiB + 7 }));
    for (const { bytes } of [...ladder, ...comparisons]) expect(bytes).toBe(MiB + 7);
  });

  it("with a store stores under bench/ alone, twice, and leaves what was there", async () => {
    const store = faultyStore(new MemoryStore());
    const signal = new AbortController().signal;
    await store.put("manifests/tank@s.json", Buffer.from("x"), { when: "create", signal });
    const put: string[] = [];
    const spied = { ...store, put: (...words: Parameters<Store["put"]>) => (put.push(words[0]), store.put(...words)) };
    const result = await bench(request(spied));
    expect(short(result)).toEqual(expect.arrayContaining(["store ocb", "upload"]));
    expect(put.length).toBeGreaterThanOrEqual(2 * (sizeBytes / (256 * KiB)));
    for (const key of put) expect(key).toMatch(/^bench\/[0-9a-f]{16}\/\d{6}$/);
    expect(await keysOf(store)).toEqual(["manifests/tank@s.json"]);
  });

  it("tries twice the parts in flight on S3 when the store is the limit", async () => {
    const store = new MemoryStore();
    const tried: number[] = [];
    const slow: Store = {
      ...faultyStore(store),
      put: async (...words) => {
        await sleep(20);
        return store.put(...words);
      },
    };
    const use: NonNullable<BenchRequest["store"]>["use"] = (concurrency, work) => (tried.push(concurrency), work(slow));
    const { comparisons } = await bench(request(slow, { store: { kind: "s3", concurrency: 40, use } }));
    expect(tried).toEqual([40, 40, 64]);
    expect(comparisons.filter(({ stage }) => stage === "upload").map(({ concurrency }) => concurrency)).toEqual([40, 64]);
  });

  const broken = new ZferryError("store-failed", "the store is gone");

  /** Which trial fails, how many puts later. */
  it.for([0, 3, 7, 8, 12])("that the store fails after %i puts says so, and leaves nothing", async (goodPuts) => {
    const inner = new MemoryStore();
    const store = faultyStore(inner);
    failAfter(store, goodPuts);
    expect(await failureOf(bench(request(store)))).toBe(broken);
    store.assertAllFired();
    expect(await keysOf(inner)).toEqual([]);
  });

  /** Declares the fault when its time has come: the store's queue of faults has no places for good puts. */
  function failAfter(store: FaultyStore, goodPuts: number): void {
    const put = store.put.bind(store);
    let count = 0;
    store.put = (key, body, options) => {
      if (count++ === goodPuts) store.fail("put", { error: broken, when: "before" });
      return put(key, body, options);
    };
  }

  it.for(["store", "upload"] as const)("that is aborted in %s ends with the reason, and leaves nothing", async (stage) => {
    const store = new MemoryStore();
    const stop = new AbortController();
    const reason = new ZferryError("interrupted", "stopped by SIGINT");
    let isWanted = false;
    const onTrial = (trial: Trial): void => {
      isWanted = trial.stage === stage;
    };
    const stopping: Store = {
      ...faultyStore(store),
      put: async (...words) => {
        const result = await store.put(...words);
        if (isWanted) stop.abort(reason);
        return result;
      },
    };
    expect(await failureOf(bench(request(stopping, { onTrial, signal: stop.signal })))).toBe(reason);
    expect(await keysOf(store)).toEqual([]);
  });

  it("that cannot remove what it stored says where it lies, and what failed first stays the failure", async () => {
    const store = faultyStore(new MemoryStore());
    store.fail("list", { error: new ZferryError("store-denied", "no listing"), when: "before" });
    expect(await failureOf(bench(request(store)))).toMatchObject({ code: "store-failed", message: expect.stringMatching(/under "bench\/.*no listing/) as string });

    const said: string[] = [];
    store.fail("put", { error: broken, when: "before" });
    store.fail("list", { error: new ZferryError("store-denied", "no listing"), when: "before" });
    expect(await failureOf(bench(request(store, { warn: (text) => said.push(text) })))).toBe(broken);
    expect(said).toEqual([expect.stringContaining("could not be removed: no listing")]);
    store.assertAllFired();
  });

  it("with a stream that is damaged ends as a backup would", async () => {
    const open = async function* (): AsyncGenerator<Uint8Array> {
      for await (const slice of synthetic(sizeBytes, new AbortController().signal)) {
        const bytes = Buffer.from(slice);
        if (bytes.length > 312) bytes[5] = (bytes[5] ?? 0) ^ 1;
        yield bytes;
      }
    };
    expect(await failureOf(bench(request(null, { open })))).toMatchObject({ code: "stream-invalid" });
  });
});

describe("a source", () => {
  it.for([
    ["synthetic:1GiB", { kind: "synthetic", sizeBytes: 2 ** 30 }],
    ["file:/a:b", { kind: "file", path: "/a:b" }],
    ["zfs:tank/home@s1", { kind: "zfs", snapshot: "tank/home@s1" }],
  ] as const)("%s is one", ([text, source]) => {
    expect(parseSource(text)).toEqual(source);
  });

  it.for(["", "synthetic", "synthetic:", "synthetic:1MB", "synthetic:1KiB", "zfs:tank/home", "zfs:tank/home#b", "http://x", ":", "file:"])("%j is none", (text) => {
    expect(() => parseSource(text)).toThrow(expect.objectContaining({ code: "usage" }));
  });
});
