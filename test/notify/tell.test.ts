import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { notifySchema, notifySettingsOf } from "../../src/config/notify.ts";
import { longestWaitMs } from "../../src/notify/tell.ts";
import { parseDatasetName } from "../../src/zfs/names.ts";
import { ownFolder } from "../folder.ts";
import { at, happening, listener, type Listener, nobody, tellerOf } from "./listening.ts";

const minuteMs = 60_000;
const later = (ms: number) => (): Date => new Date(at.getTime() + ms);
const mail = parseDatasetName("tank/mail");
const media = parseDatasetName("tank/media");

/** What came in, in short. */
function told({ received }: Listener): string[] {
  return received.map(({ body }) => {
    const { kind, dataset, text } = JSON.parse(body) as { kind: string; dataset: string | null; text: string };
    return `${kind} ${dataset ?? "-"}: ${text}`;
  });
}

describe("how often the same is told", () => {
  it("a failure is told, and one of the same job again when min_interval has passed, also by another run", async () => {
    const there = await listener();
    const stateDir = ownFolder();
    const list = [{ type: "webhook", url: there.url, min_interval: "30m" }];
    for (const [ms, text] of [[0, "first"], [30 * minuteMs - 1, "too soon"], [30 * minuteMs, "again"]] as const) {
      const teller = tellerOf(list, { stateDir, now: later(ms) });
      await teller.tell(happening({ text }));
      await teller.end();
    }
    expect(told(there)).toEqual(["failure tank/home: first", "failure tank/home: again"]);
  });

  it("the limit is for each notifier, job and kind by itself", async () => {
    const there = await listener();
    const stateDir = ownFolder();
    const list = [{ type: "webhook", url: there.url, min_interval: "1d" }, { type: "webhook", url: there.url, jobs: ["other"] }];
    for (const some of [{}, { job: "other" }, { kind: "drill", details: { findingCount: 0 } } as const]) {
      const teller = tellerOf(list, { stateDir });
      await teller.tell(happening(some));
      await teller.end();
    }
    expect(there.received).toHaveLength(4);
  });

  it("twenty datasets that fail in one run make two messages, the second one with the other nineteen", async () => {
    const there = await listener();
    const teller = tellerOf([{ type: "webhook", url: there.url }]);
    for (let count = 0; count < 20; count += 1) {
      await teller.tell(happening({ dataset: parseDatasetName(`tank/d${count}`), text: `backup of "tank/d${count}" failed` }));
      while (there.received.length === 0) await sleep(1);
    }
    await teller.end();
    const lines = Array.from({ length: 10 }, (_, index) => `backup of "tank/d${index + 1}" failed`);
    expect(told(there)).toEqual(['failure tank/d0: backup of "tank/d0" failed', `failure -: ${[...lines, "and 9 more: see zferry status"].join("\n")}`]);
  });

  it("what was not delivered counts as not told", async () => {
    const there = await listener((_request, response, count) => {
      response.writeHead(count <= 3 ? 503 : 200).end();
    });
    const stateDir = ownFolder();
    const first = tellerOf([{ type: "webhook", url: there.url }], { stateDir });
    await first.tell(happening({ text: "first" }));
    await first.end();
    expect(first.warnings).toEqual(['notifier "webhook" was not told of "failure" of job "home": it answered 503']);
    const second = tellerOf([{ type: "webhook", url: there.url }], { stateDir });
    await second.tell(happening({ text: "second" }));
    await second.end();
    expect(told(there)).toEqual([...Array.from({ length: 3 }, () => "failure tank/home: first"), "failure tank/home: second"]);
  });

  it("what is overdue is told once a day of each dataset, and at once of another one", async () => {
    const there = await listener();
    const stateDir = ownFolder();
    const rounds = [[0, [mail]], [60, [mail]], [120, [mail, media]], [24 * 60, [mail]], [25 * 60, [mail, media]]] as const;
    for (const [minutes, datasets] of rounds) {
      const teller = tellerOf([{ type: "webhook", url: there.url, min_interval: "0s" }], { stateDir, now: later(minutes * minuteMs) });
      for (const dataset of datasets) await teller.tell(happening({ kind: "overdue", dataset, text: `${dataset} is overdue` }));
      await teller.end();
    }
    expect(told(there)).toEqual([
      "overdue tank/mail: tank/mail is overdue",
      "overdue tank/media: tank/media is overdue",
      "overdue tank/mail: tank/mail is overdue",
    ]);
  });

  it("a drill that passed does not silence one that fails, nor the other way round", async () => {
    const there = await listener();
    const stateDir = ownFolder();
    for (const findingCount of [0, 2, 0, 1, null]) {
      const teller = tellerOf([{ type: "webhook", url: there.url }], { stateDir });
      await teller.tell(happening({ kind: "drill", text: `${String(findingCount)} findings`, details: { findingCount } }));
      await teller.end();
    }
    expect(told(there)).toEqual(["drill tank/home: 0 findings", "drill tank/home: 2 findings"]);
  });

  it("a clock that was ahead when it was told does not silence it", async () => {
    const there = await listener();
    const stateDir = ownFolder();
    for (const ms of [365 * 24 * 60 * minuteMs, 0]) {
      const teller = tellerOf([{ type: "webhook", url: there.url }], { stateDir, now: later(ms) });
      await teller.tell(happening());
      await teller.end();
    }
    expect(there.received).toHaveLength(2);
  });
});

describe("recovery", () => {
  const list = (url: string): unknown[] => [{ type: "webhook", url, min_interval: "0s" }];

  it("is told of a dataset that was in trouble, once, with when and what that was", async () => {
    const there = await listener();
    const stateDir = ownFolder();
    const nights = [["failure", "no space"], ["failure", "still no space"], ["success", "stored"], ["success", "stored"]] as const;
    for (const [night, [kind, text]] of nights.entries()) {
      const when = later(night * 24 * 60 * minuteMs);
      const teller = tellerOf(list(there.url), { stateDir, now: when });
      await teller.tell(happening({ kind, text, at: when() }));
      await teller.end();
    }
    expect(told(there)).toEqual([
      "failure tank/home: no space",
      "failure tank/home: still no space",
      `recovery tank/home: "tank/home" is backed up again; since ${at.toISOString()}: no space`,
    ]);
  });

  it("follows what was overdue too, and is not told of other datasets", async () => {
    const there = await listener();
    const teller = tellerOf(list(there.url));
    await teller.tell(happening({ kind: "overdue", dataset: mail, text: "overdue" }));
    await teller.tell(happening({ kind: "success", dataset: media }));
    await teller.tell(happening({ kind: "success", dataset: mail }));
    await teller.end();
    expect(told(there).map((line) => line.split(":", 1)[0])).toEqual(["overdue tank/mail", "recovery tank/mail"]);
  });

  it("of a job that failed as a whole follows when all of it went well", async () => {
    const there = await listener();
    const teller = tellerOf([{ type: "webhook", url: there.url, min_interval: "0s", on: ["success", "recovery"] }]);
    await teller.tell(happening({ dataset: null, text: "the pool is gone" }));
    await teller.tell(happening({ kind: "success", text: "one dataset" }));
    await teller.tell(happening({ kind: "success", dataset: null, text: "all of it" }));
    await teller.end();
    expect(told(there)).toEqual([`recovery -: job "home" went well again; since ${at.toISOString()}: the pool is gone`, "success -: all of it"]);
  });
});

describe("whoever does not listen", () => {
  it.for([
    ["refuses", nobody, "it cannot be reached: ECONNREFUSED"],
    ["accepts and hangs", async () => (await listener(() => undefined)).url, "no answer within 1 s"],
    ["answers 500", async () => (await listener((_request, response) => response.writeHead(500).end())).url, "it answered 500"],
  ] as const)("and %s delays no run, and its end by no more than is documented", async ([, place, why]) => {
    const list = [{ type: "webhook", url: await place(), timeout: "1s", min_interval: "0s" }];
    const teller = tellerOf(list);
    await teller.tell(happening());
    await teller.tell(happening({ dataset: mail }));
    if (why.startsWith("no answer")) expect(teller.warnings).toEqual([]); // nobody has waited for a try to end
    const begun = performance.now();
    await teller.end();
    expect(performance.now() - begun).toBeLessThan(longestWaitMs(notifySettingsOf(notifySchema.parse(list))));
    expect(teller.warnings[0]).toBe(`notifier "webhook" was not told of "failure" of job "home": ${why}`);
  });

  it("is waited for as long as three tries take, and ten seconds", () => {
    const list = [{ type: "webhook", url: "https://x" }, { type: "command", command: ["x"], timeout: "20s" }];
    expect(longestWaitMs(notifySettingsOf(notifySchema.parse(list)))).toBe(3 * 20_000 + 2 * 5000);
    expect(longestWaitMs([])).toBe(0);
  });

  it("and sends a reply without end keeps nobody", async () => {
    const { url } = await listener((_request, response) => {
      const pour = (): void => {
        response.write("x".repeat(65536));
        if (!response.destroyed) setImmediate(pour);
      };
      pour();
    });
    const teller = tellerOf([{ type: "webhook", url, timeout: "5s" }]);
    await teller.tell(happening());
    await teller.end();
    expect(teller.warnings).toEqual([]);
  });

  it("is tried again, and what comes of the third try counts", async () => {
    const there = await listener((_request, response, count) => {
      response.writeHead(count < 3 ? 502 : 204).end();
    });
    const teller = tellerOf([{ type: "webhook", url: there.url }]);
    await teller.tell(happening());
    await teller.end();
    expect([there.received.length, teller.warnings]).toEqual([3, []]);
  });

  it.for([400, 401, 404, 410, 429, 408] as const)("and answers %i is tried again only where that may help", async (status) => {
    const there = await listener((_request, response) => {
      response.writeHead(status).end();
    });
    const teller = tellerOf([{ type: "webhook", url: there.url }]);
    await teller.tell(happening());
    await teller.end();
    expect(there.received).toHaveLength(status === 408 || status === 429 ? 3 : 1);
  });

  it("holds up none of the others", async () => {
    const [there, hanging] = [await listener(), await listener(() => undefined)];
    const teller = tellerOf([{ type: "webhook", url: hanging.url, timeout: "60s" }, { type: "webhook", url: there.url }]);
    await teller.tell(happening());
    while (there.received.length === 0) await sleep(1);
    expect(told(there)).toHaveLength(1);
  });

  it("is given two seconds by a run that was told to stop", async () => {
    const stop = new AbortController();
    const { url } = await listener(() => undefined);
    const teller = tellerOf([{ type: "webhook", url, timeout: "60s" }], { signal: stop.signal });
    await teller.tell(happening());
    stop.abort();
    const begun = performance.now();
    await teller.end();
    expect(performance.now() - begun).toBeLessThan(10_000);
    expect(teller.warnings).toEqual(['notifier "webhook" was not told of "failure" of job "home": there was no time left']);
  });
});

describe("what is remembered", () => {
  it("names who was not told and why, until the next message that arrives", async () => {
    const stateDir = ownFolder();
    const there = await listener((_request, response, count) => {
      response.writeHead(count === 1 ? 404 : 200).end();
    });
    const list = [{ type: "webhook", url: there.url, name: "phone" }];
    const undelivered = (): unknown => {
      const [name = ""] = readdirSync(join(stateDir, "notify"));
      return (JSON.parse(readFileSync(join(stateDir, "notify", name), "utf8")) as { undelivered: unknown }).undelivered;
    };
    for (const expected of [{ phone: { at: at.toISOString(), why: "it answered 404" } }, {}]) {
      const teller = tellerOf(list, { stateDir });
      await teller.tell(happening());
      await teller.end();
      expect(undelivered()).toEqual(expected);
    }
  });

  it("counts as nothing when it is garbage, and a folder that cannot be written is a warning", async () => {
    const there = await listener();
    const stateDir = ownFolder();
    const teller = tellerOf([{ type: "webhook", url: there.url }], { stateDir });
    await teller.tell(happening());
    await teller.end();
    const [name = ""] = readdirSync(join(stateDir, "notify"));
    writeFileSync(join(stateDir, "notify", name), "{");
    const second = tellerOf([{ type: "webhook", url: there.url }], { stateDir });
    await second.tell(happening());
    await second.end();
    expect([there.received.length, second.warnings]).toEqual([2, []]);
    const file = join(ownFolder(), "file");
    writeFileSync(file, "");
    const third = tellerOf([{ type: "webhook", url: there.url }], { stateDir: file });
    await third.tell(happening());
    await third.tell(happening());
    await third.end();
    expect(there.received.length).toBe(4); // the second one as the run's last message
    expect(third.warnings).toEqual([expect.stringMatching(/^cannot read the notes on who was told .*ENOTDIR/)]);
  });

  it.for(["constructor", "__proto__", "toString"])("may be of a job called %s", async (job) => {
    const there = await listener();
    const teller = tellerOf([{ type: "webhook", url: there.url, name: "constructor" }]);
    for (const kind of ["failure", "success"] as const) await teller.tell(happening({ kind, job, dataset: parseDatasetName("constructor") }));
    await teller.end();
    expect(told(there).map((line) => line.split(" ", 1)[0])).toEqual(["failure", "recovery"]);
  });
});
