/**
 * `zferry doctor`: tries on the real store everything a backup will ask of it, and says what follows.
 *
 * Works under a throw-away prefix of its own, which is emptied again whatever happens. A store that cannot keep backups
 * has a failed probe; one that can, but not everything, has findings. What is tried is in `doctor-probes.ts`.
 */
import { randomBytes } from "node:crypto";
import { type Probe, type ProbeResult, probes, type Scene } from "./doctor-probes.ts";
import { judgeRules, type Kept } from "./doctor-rules.ts";
import { isZferryError } from "./errors.ts";
import type { ObjectKey, Store } from "./store/store.ts";

export type { Outcome, ProbeResult } from "./doctor-probes.ts";

/** How long the clean-up may take, whatever became of the probes. */
const cleanupTimeoutMs = 60_000;

export interface DoctorRequest {
  /** Opened with parts of `probePartBytes`. */
  readonly store: Store;
  /** Size of the parts the store was opened with: the multipart probe sends one of them and a short one. */
  readonly probePartBytes: number;
  /** What backups are to be stored with. */
  readonly sizes: { readonly chunkBytes: readonly number[]; readonly partBytes: number };
  /** What jobs promise of their backups in this store; the bucket's own rules are compared with it. */
  readonly kept?: readonly Kept[];
  readonly now: () => Date;
  /** Called as each probe ends. */
  readonly onProbe: (result: ProbeResult) => void;
  readonly signal: AbortSignal;
}

/**
 * Runs the probes one after the other. Traffic: twice the size of a probe's part, and about 2 MiB.
 *
 * @returns a result for each probe, those of the bucket's rules, and at last that of the clean-up
 * @throws the signal's reason, after the clean-up; everything else is a result
 */
export async function examine(request: DoctorRequest): Promise<ProbeResult[]> {
  const { store, signal, onProbe } = request;
  const scene: Scene = { ...request, prefix: `doctor/${randomBytes(8).toString("hex")}/`, keys: new Set() };
  const results: ProbeResult[] = [];
  const note = (result: ProbeResult): void => {
    results.push(result);
    onProbe(result);
  };
  try {
    let isUsable = true;
    for (const probe of probes) {
      const result: ProbeResult = isUsable ? await run(probe, scene) : skipped(probe);
      note(result);
      isUsable &&= !(probe.isVital && result.outcome === "failed");
    }
    if (isUsable) for (const result of await lookAtRules(request)) note(result);
  } finally {
    const problem = await cleanUp(store, scene);
    if (!signal.aborted) note(cleanUpResult(scene, problem, results[0]?.outcome !== "failed"));
  }
  return results;
}

async function run(probe: Probe, scene: Scene): Promise<ProbeResult> {
  try {
    return { name: probe.name, ...(await probe.look(scene)) };
  } catch (error) {
    scene.signal.throwIfAborted();
    if (!isZferryError(error)) throw error;
    const { outcome, consequence } = probe.otherwise;
    const hint = error.hint === null ? "" : ` (${error.hint})`;
    return { name: probe.name, outcome, detail: error.message, consequence: `${consequence}${hint}` };
  }
}

/** Of a store that has rules; what cannot be read is told and no failure. */
async function lookAtRules({ store, kept = [], signal }: DoctorRequest): Promise<readonly ProbeResult[]> {
  try {
    const rules = await store.rules?.({ signal });
    return rules === undefined ? [] : judgeRules(rules, kept);
  } catch (error) {
    signal.throwIfAborted();
    if (!isZferryError(error)) throw error;
    return [{ name: "lifecycle", outcome: "skipped", detail: error.message, consequence: "the bucket's own rules are not known" }];
  }
}

function skipped({ name }: Probe): ProbeResult {
  return { name, outcome: "skipped", detail: "not tried: nothing can be stored", consequence: null };
}

/** Removes all that was made. @returns what is wrong with that, or null */
async function cleanUp(store: Store, scene: Scene): Promise<string | null> {
  const signal = AbortSignal.timeout(cleanupTimeoutMs); // not the run's, which may be aborted
  const problems: string[] = [];
  const remove = [() => removeObjects(store, scene, signal), () => store.removeUnfinished(scene.prefix, { signal })];
  for (const work of remove) {
    try {
      await work();
    } catch (error) {
      problems.push((error as Error).message); // the other one may work
    }
  }
  return problems.length === 0 ? null : problems.join("; ");
}

/** By name, and then what a listing finds besides. */
async function removeObjects(store: Store, { prefix, keys }: Scene, signal: AbortSignal): Promise<void> {
  if (keys.size > 0) await store.delete([...keys], { signal });
  const left = await keysUnder(store, prefix, signal);
  if (left.length === 0) return;
  await store.delete(left, { signal });
  const stuck = await keysUnder(store, prefix, signal);
  if (stuck.length > 0) throw new Error(`${stuck.length} objects under "${prefix}" are still there after they were deleted`);
}

async function keysUnder(store: Store, prefix: string, signal: AbortSignal): Promise<ObjectKey[]> {
  const keys: ObjectKey[] = [];
  for await (const { key } of store.list(prefix, { signal })) keys.push(key);
  return keys;
}

function cleanUpResult({ prefix }: Scene, problem: string | null, isUsable: boolean): ProbeResult {
  const name = "clean-up";
  if (problem === null) return { name, outcome: "ok", detail: `nothing is left under "${prefix}"`, consequence: null };
  if (!isUsable) return { name, outcome: "skipped", detail: problem, consequence: null };
  const consequence = `remove what is under "${prefix}" by hand, or let a lifecycle rule for "doctor/" do it`;
  return { name, outcome: "finding", detail: problem, consequence };
}
