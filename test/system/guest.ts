/**
 * Datasets on the real OpenZFS: made under random names, filled, summed, destroyed again.
 */
import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { promisify } from "node:util";
import { onTestFinished } from "vitest";
import type { OpenZfsSystem } from "../systems.ts";

const run = promisify(execFile);

export class Guest {
  readonly #system: OpenZfsSystem;

  constructor(system: OpenZfsSystem) {
    this.#system = system;
  }

  /** The path of its `zfs`, for `--zfs`. */
  get zfsPath(): string {
    return this.#system.zfs;
  }

  async zfs(...args: string[]): Promise<string> {
    return (await run(this.#system.zfs, args)).stdout.trim();
  }

  /** Runs a shell line where the pools are mounted. */
  async sh(line: string): Promise<string> {
    return (await run(this.#system.sh, ["-c", line])).stdout.trim();
  }

  /** A dataset name nobody else uses; whatever is under it goes away with the test. */
  newName(pool: "tsrc" | "tdst"): string {
    const name = `${pool}/t${randomBytes(4).toString("hex")}`;
    onTestFinished(async () => {
      const holds = await this.zfs("list", "-Hr", "-t", "snapshot", "-o", "name", name).catch(() => "");
      for (const snapshot of holds.split("\n").filter((line) => line !== "")) {
        const tags = await this.zfs("holds", "-H", snapshot);
        for (const line of tags.split("\n").filter((text) => text !== "")) await this.zfs("release", line.split("\t")[1] ?? "", snapshot);
      }
      await this.zfs("destroy", "-r", name).catch(() => undefined);
    });
    return name;
  }

  /** `sha256sum` of every file under a mount point, sorted by name. */
  async sums(dataset: string): Promise<string> {
    return this.sh(`cd /${dataset} && find . -type f | sort | xargs sha256sum`);
  }

  async guid(name: string): Promise<string> {
    return this.zfs("get", "-Hp", "-o", "value", "guid", name);
  }
}
