/** The golden manifests, and manifests changed on purpose and sealed again by someone who has the key. */
import { createHash, createHmac, hkdfSync } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { parseSnapshotName, type SnapshotName } from "../../src/zfs/names.ts";

const folder = new URL("../../fixtures/manifests/", import.meta.url);

export const goldenKeyed = readFileSync(new URL("full-ocb.json", folder));
export const goldenUnkeyed = readFileSync(new URL("incremental-unkeyed.json", folder));
export const goldenBackup: SnapshotName = parseSnapshotName("tank/home@golden");
export const goldenSessionKey = Buffer.from(Uint8Array.from({ length: 32 }, (_, index) => index * 7 + 1));
export const goldenPassphrase = "golden manifest";

/** By the words of `docs/format.md`, not by the code under test. */
export const goldenHmacKey = Buffer.from(hkdfSync("sha256", goldenSessionKey, "", "zferry manifest hmac v1", 32));

export function brokenNames(): string[] {
  return readdirSync(new URL("broken/", folder)).sort();
}

export function broken(name: string): Buffer {
  return readFileSync(new URL(`broken/${name}`, folder));
}

/** The members of the golden manifest, seal left out, as JSON has them. */
export function goldenMembers(): Record<string, unknown> {
  const members = JSON.parse(goldenKeyed.toString()) as Record<string, unknown>;
  return Object.fromEntries(Object.entries(members).filter(([name]) => name !== "seal"));
}

interface SealOptions {
  readonly version?: number;
  readonly key?: Buffer | null;
}

/** Any text as the body of a manifest that is sealed as it should be. */
export function sealText(body: string, { version = 1, key = goldenHmacKey }: SealOptions = {}): Buffer {
  const sum = createHash("sha256").update(body).digest("hex");
  const hmac = key === null ? "unkeyed" : createHmac("sha256", key).update(body).digest("hex");
  return Buffer.from(`${body},"seal":"v${version}:${sum}:${hmac}"}\n`);
}

export function sealMembers(members: Record<string, unknown>, options: SealOptions = {}): Buffer {
  return sealText(JSON.stringify(members).slice(0, -1), options);
}

/** The golden manifest with the member at `path` changed; `undefined` leaves it out. */
export function withMember(path: string, value: unknown): Record<string, unknown> {
  const members = goldenMembers();
  const steps = path.split(".");
  const last = steps.pop() ?? "";
  let at = members;
  for (const step of steps) at = at[step] as Record<string, unknown>;
  at[last] = value;
  return members;
}
