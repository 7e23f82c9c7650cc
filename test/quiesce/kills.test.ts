/**
 * SIGKILL at every step between the first before-hook and the last after-hook, and at random moments: of zferry alone, whose
 * guard then goes up, and of zferry and guard at once, which is what a power cut leaves, whose rest `recover` does. The
 * service that is stopped is a real nginx: it must be up afterwards, and no after-hook of a hook that began may be missing.
 *
 * The steps are those `kill-at.mjs` sees in an undisturbed run; the first test shows that the list here is that one.
 */
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it, type TestContext } from "vitest";
import { recoverOwed } from "../../src/quiesce/recover.ts";
import { built } from "../build.ts";
import { pointsOr, randomFrom, seed } from "../system/moments.ts";
import { need } from "../systems.ts";
import { isAlive, Night, type RunningNight, until } from "./night.ts";
import { type WebServer, webServer } from "./web-server.ts";

const killer = new URL("kill-at.mjs", import.meta.url);

/** A hook from its start to its end; the record notes it in between. */
function hookSteps(nth: number, write: number): string[] {
  return [
    `guard starts a hook#${nth}`,
    `guard writes the record#${write}`,
    `guard opens the gate#${nth}`,
    `guard has opened the gate#${nth}`,
    `guard sees a hook end#${nth}`,
  ];
}

const steps = [
  "zferry starts the guard#1",
  "zferry sends order#1",
  "guard takes the lock#1",
  "guard writes the record#1",
  "guard says begun#1",
  "zferry hears begun#1",
  ...hookSteps(1, 2),
  ...hookSteps(2, 3),
  "guard says quiet#1",
  "zferry hears quiet#1",
  "zferry takes the snapshot#1",
  "zferry has the snapshot#1",
  "zferry sends release#1",
  ...hookSteps(3, 4),
  "guard writes the record#5",
  ...hookSteps(4, 6),
  "guard writes the record#7",
  "guard removes the record#1",
  "guard says over#1",
  "zferry hears over#1",
];
/** Where what is on disk, or what runs, changes: the others differ from their neighbours for nobody but zferry. */
const stepsOfBoth = steps.filter((step) => /record|has opened/.test(step));
const stepsOfGuard = [
  "guard opens the gate#2",
  "guard has opened the gate#1",
  "guard says quiet#1",
  "guard has opened the gate#3",
  "guard removes the record#1",
];

let web: WebServer | null = null;
beforeAll(built);
afterAll(() => {
  web?.remove();
});

/** A night with the service in its hooks; the first test that asks starts it. */
class Service {
  readonly night = new Night();
  readonly #web: WebServer;

  constructor(context: TestContext) {
    const nginx = need(context, "nginx");
    if (web === null) {
      web = webServer(nginx);
      spawnSync("/bin/sh", ["-c", web.start]);
    }
    this.#web = web;
  }

  get steps(): string {
    const path = this.night.path("steps");
    return existsSync(path) ? readFileSync(path, "utf8") : "";
  }

  start(query: Readonly<Record<string, string>>): Promise<RunningNight> {
    const url = new URL(killer);
    for (const [name, value] of Object.entries({ log: this.night.path("steps"), ...query })) url.searchParams.set(name, value);
    const app = { before: "sleep 0.02", after: "sleep 0.02" };
    const hooks = [this.night.hook("web", { before: this.#web.stop, after: this.#web.start }), this.night.hook("app", app)];
    return this.night.start({ hooks, work: "sleep 0.02", nodeFlags: ["--import", url.href] });
  }

  /** Waits until zferry and guard are gone, then does what boot does if they were both killed; all must be well then. */
  async aftermath({ child, outcome }: RunningNight, isRecovering: boolean): Promise<void> {
    await outcome;
    await until("zferry is gone", () => child.exitCode !== null || child.signalCode !== null);
    await until("its guard is gone", () => !isAlive(this.guard));
    if (isRecovering) await this.#recover();
    await this.isWell();
    expect(await this.#recover()).toEqual([]);
  }

  /** 0 when there is none yet. */
  get guard(): number {
    return Number(/^guard (\d+)$/m.exec(this.steps)?.[1] ?? 0);
  }

  #recover(): ReturnType<typeof recoverOwed> {
    const warn = (text: string): void => {
      throw new Error(text);
    };
    return recoverOwed({ stateDir: this.night.stateDir, isDryRun: false, warn, signal: new AbortController().signal });
  }

  /** It answers, and what began was undone in reverse. One that nobody could note as done may have been run twice. */
  async isWell(): Promise<void> {
    expect(await this.#web.isUp()).toBe(true);
    expect(this.night.recordNames).toEqual([]);
    const named = (phase: string): string[] => this.night.log.filter((line) => line.startsWith(`${phase} `)).map((line) => line.slice(phase.length + 1));
    const [began, undone] = [named("before"), named("after")];
    const once = undone.filter((name, at) => undone.indexOf(name) === at);
    expect(once.filter((name) => began.includes(name))).toEqual(began.toReversed());
  }
}

describe("a service", () => {
  it("is stopped and started in the steps that are killed at here", async (context) => {
    const service = new Service(context);
    const running = await service.start({});
    expect(await running.outcome).toMatchObject({ value: "snapshot", failures: [], warnings: [] });
    const seen = service.steps.trimEnd().split("\n");
    // What the two do at the same time may come in either order.
    for (const who of ["zferry", "guard"]) {
      const ofIts = (line: string): boolean => line.startsWith(who) && line.includes("#");
      expect(seen.filter(ofIts)).toEqual(steps.filter(ofIts));
    }
    await service.isWell();
  });

  it.for(steps)("is up after SIGKILL of zferry before: %s", async (at, context) => {
    const service = new Service(context);
    const running = await service.start({ at, victim: "zferry" });
    expect(await running.outcome).toBeNull();
    await service.aftermath(running, false);
  });

  it.for(stepsOfBoth)("is up after SIGKILL of zferry and guard, and recover, before: %s", async (at, context) => {
    const service = new Service(context);
    const running = await service.start({ at, victim: "both" });
    expect(await running.outcome).toBeNull();
    await service.aftermath(running, true);
  });

  it.for(stepsOfGuard)("is up after SIGKILL of the guard before: %s", async (at, context) => {
    const service = new Service(context);
    const running = await service.start({ at, victim: "guard" });
    expect(await running.outcome).not.toBeNull();
    await service.aftermath(running, false);
  });

  it(`is up after SIGKILL at random moments (CRASH_SEED=${seed})`, { timeout: 120_000 }, async (context) => {
    const random = randomFrom(seed);
    for (let point = 0; point < pointsOr(10); point += 1) {
      const service = new Service(context);
      const running = await service.start({});
      const isBoth = random() < 0.5;
      const moment = Math.floor(random() * steps.length);
      // So many steps and some milliseconds after the start: moments between steps, also inside a hook.
      await until("it has come that far", () => service.steps.split("\n").length > moment || running.child.exitCode !== null);
      await sleep(random() * 10);
      if (isBoth && isAlive(service.guard)) process.kill(service.guard, "SIGKILL");
      running.child.kill("SIGKILL");
      await service.aftermath(running, isBoth);
    }
  });
});
