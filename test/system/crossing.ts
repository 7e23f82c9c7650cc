/**
 * Whole runs of the command line between a pretended pool and a bucket behind a proxy: what the tests of faults do
 * again and again.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import type { BodyWitness } from "../fault-proxy.ts";
import { Pool } from "../cli/pool.ts";
import { type Ended, Scene, type Started } from "../cli/zferry.ts";
import type { S3System } from "../systems.ts";
import { bucketBehindProxy, type ProxiedBucket, sizes } from "./behind-proxy.ts";

export class Crossing {
  readonly scene = new Scene();
  /** Its dataset `tank/a` has one stream to send. */
  readonly pool = new Pool({ streams: ["it.zfs"], datasets: { "tank/a": { snapshots: {} } } });
  readonly place: ProxiedBucket;
  #stream: Buffer;

  private constructor(place: ProxiedBucket, stream: Buffer) {
    this.place = place;
    this.#stream = stream;
    this.give(stream);
  }

  static async over(system: S3System, stream: Buffer, witness?: BodyWitness): Promise<Crossing> {
    return new Crossing(await bucketBehindProxy(system, witness), stream);
  }

  /** What `zfs send` reads from now on. */
  give(stream: Buffer): void {
    this.#stream = stream;
    writeFileSync(join(this.pool.folder, "it.zfs"), stream);
  }

  get env(): Record<string, string> {
    return { ...this.pool.env, ...this.place.bucket.env };
  }

  /** Starts the built program. */
  startBackup(...flags: string[]): Promise<Started> {
    return this.scene.start([...this.#backupWords, ...flags], { stdin: new Uint8Array(), env: this.env });
  }

  async backup(...flags: string[]): Promise<Ended> {
    return (await this.startBackup(...flags)).ended;
  }

  /** Runs in this process, which is quicker. */
  backupHere(...flags: string[]): Promise<Ended> {
    return this.scene.run([...this.#backupWords, ...flags], { env: this.env });
  }

  startRestore(...flags: string[]): Promise<Started> {
    return this.scene.start([...this.#restoreWords, ...flags], { stdin: new Uint8Array(), env: this.env });
  }

  async restore(...flags: string[]): Promise<Ended> {
    return (await this.startRestore(...flags)).ended;
  }

  restoreHere(...flags: string[]): Promise<Ended> {
    return this.scene.run([...this.#restoreWords, ...flags], { env: this.env });
  }

  /** The backup comes back through the proxy, byte for byte. */
  async expectRestored(): Promise<void> {
    const { exit, stderr } = await this.restore();
    expect(exit, stderr).toBe(0);
    this.expectReceived();
  }

  /** The pool received what was given last, byte for byte and to its end. */
  expectReceived(): void {
    const received = this.pool.received(0);
    expect(received).toMatchObject({ target: "tank/back", ended: true, bytes: this.#stream.length });
    expect(received?.stream.equals(this.#stream)).toBe(true);
  }

  get #backupWords(): string[] {
    return ["backup", "--dataset", "tank/a", ...this.#place, ...sizes, ...this.scene.forBob];
  }

  get #restoreWords(): string[] {
    return ["restore", "tank/a", "--to", "tank/back", ...this.#place, ...this.scene.asBob];
  }

  get #place(): string[] {
    return ["--store", this.place.url, "--state-dir", this.scene.stateDir];
  }
}
