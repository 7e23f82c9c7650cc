/**
 * What every refusal has in common: its exit status, an error and a hint on stderr, nothing on stdout, and a store that is
 * what it was.
 */
import { expect } from "vitest";
import type { Ended, RunOptions, Scene } from "./zferry.ts";

/** Runs, and looks at what every refusal has in common. @returns what it said */
export async function refused(scene: Scene, exit: number, words: readonly string[], options: RunOptions = {}): Promise<string> {
  const before = scene.objects;
  const ended = await scene.run(words, options);
  expectRefusal(ended, exit);
  expect(scene.objects).toEqual(before);
  return ended.stderr;
}

export function expectRefusal({ exit, stderr, stdout }: Ended, status: number): void {
  expect(stderr).toMatch(/zferry: error: .*[^.]\nzferry: hint: .*[^.]\n$/s);
  expect(exit).toBe(status);
  expect(stdout.toString()).toBe("");
}

/** A `put` into the scene's store. */
export const put = (scene: Scene, ...flags: readonly string[]): string[] => ["put", "tank/src@s1", ...scene.place, ...flags];
