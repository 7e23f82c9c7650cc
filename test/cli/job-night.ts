/** A night of jobs in this process: a configuration, a pretended pool, and what is looked at afterwards. */
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { Writable } from "node:stream";
import { expect } from "vitest";
import { readRuns, type RunRecord } from "../../src/history.ts";
import { nightly, type Pool } from "./pool.ts";
import { type Ended, Scene } from "./zferry.ts";

/** The name of a snapshot of the scene's time. */
export const tonight = "zferry-20261121T074200Z";
export const three = ["tank/src", "tank/src/a", "tank/src/b"];

export class Night {
  readonly scene = new Scene();
  readonly pool: Pool;

  /** @param jobs - YAML, indented by two */
  constructor(jobs: string, { datasets = three, old = false, more = "" }: { datasets?: readonly string[]; old?: boolean; more?: string } = {}) {
    this.pool = nightly({ datasets: Object.fromEntries(datasets.map((name) => [name, { snapshots: {} }])), old });
    this.scene.write(
      "zferry.yaml",
      `state_dir: state\nstores:\n  main:\n    url: ${this.scene.store}\n    part_size: 16KiB\n  gone:\n    url: s3://bucket?endpoint=http://127.0.0.1:1\n    retry_for: 1s\n` +
        `encryption:\n  recipients: [${this.scene.certificate("bob")}]\ndefaults:\n  store: main\n  chunk_size: 64KiB\n${more}jobs:\n${jobs}`,
    );
  }

  run(...words: string[]): Promise<Ended> {
    return this.scene.run(["backup", ...words], { env: this.pool.env });
  }

  snapshotsOf(dataset: string): string[] {
    return Object.keys(this.pool.dataset(dataset).snapshots);
  }

  /** The names each `zfs snapshot` was given. */
  get taken(): string[][] {
    return this.pool.calls("snapshot").map((args) => args.slice(args.indexOf("--") + 1));
  }

  get runs(): Promise<readonly RunRecord[]> {
    return readRuns(this.scene.stateDir, (text) => expect.fail(text));
  }

  get intents(): string[] {
    const folder = join(this.scene.stateDir, "journal");
    return existsSync(folder) ? readdirSync(folder) : [];
  }
}

/** A standard error that acts as soon as it was told `text`; `said` is all of it. */
export function uponHearing(text: string, act: () => void): { readonly stderr: Writable; readonly said: () => string } {
  let said = "";
  const stderr = new Writable({
    write: (piece: Buffer, _encoding, done) => {
      said += piece.toString();
      if (said.includes(text)) act();
      done();
    },
  });
  return { stderr, said: () => said };
}
