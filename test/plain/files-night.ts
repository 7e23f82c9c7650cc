/** A night of a job of files: a configuration, a pretended pool, and a tree that two commands show as its snapshot's. */
import { appendFileSync, existsSync, mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { readRuns, type RunRecord } from "../../src/history.ts";
import { nightly, type Pool } from "../cli/pool.ts";
import { type Ended, Scene, type Started } from "../cli/zferry.ts";

/** Puts a copy of $TREE there, as a mount would put the snapshot; and takes it away. */
export const shown = `
      mount: [sh, -c, 'cp -a "$TREE/." "$ZFERRY_VIEW/"']
      unmount: [sh, -c, 'find "$ZFERRY_VIEW" -mindepth 1 -delete 2>/dev/null; true']
      pass_environment: [TREE, OUT, "RESTIC_*", "BORG_*"]`;

/** A night of engine `s3`: the bucket at `url`, a folder and two files. @param forBob - locked for bob, which is quicker, not for the scene's passphrase */
export function nightInBucket(url: string, { more = "", forBob = false }: { more?: string; forBob?: boolean } = {}): FilesNight {
  const night = new FilesNight(`      engine: s3\n${more}`, { more: "    store: far\n" });
  const { scene } = night;
  const keys = forBob ? `recipients: [${scene.certificate("bob")}], private_keys: [${scene.privateKey("bob")}]` : `passphrase_file: ${scene.passphraseFile}`;
  appendFileSync(join(scene.folder, "zferry.yaml"), `stores: { far: { url: "${url}" } }\nencryption: { ${keys} }\n`);
  scene.write("tree/sub/a b", "some content");
  scene.write("tree/f", "more of it");
  return night;
}

export class FilesNight {
  readonly scene = new Scene();
  readonly pool: Pool = nightly();
  readonly tree = join(this.scene.folder, "tree");
  readonly out = join(this.scene.folder, "out");

  /** @param files - the section's members, YAML, indented by six; @param more - of the job, by four */
  constructor(files: string, { view = shown, more = "" }: { view?: string; more?: string } = {}) {
    for (const folder of [this.tree, this.out]) mkdirSync(folder);
    this.scene.write(
      "zferry.yaml",
      `state_dir: state\njobs:\n  papers:\n    dataset: tank/src\n    mode: files\n${more}    files:\n${files}${view}\n`,
    );
  }

  /** Of every run. */
  get variables(): Readonly<Record<string, string>> {
    return { ...this.pool.env, TREE: this.tree, OUT: this.out };
  }

  run(words: readonly string[] = ["backup"], env: Readonly<Record<string, string>> = {}): Promise<Ended> {
    return this.scene.run(words, { env: { ...this.variables, ...env } });
  }

  start(words: readonly string[] = ["backup"]): Promise<Started> {
    return this.scene.start(words, { env: this.variables });
  }

  get snapshots(): string[] {
    return Object.keys(this.pool.dataset("tank/src").snapshots);
  }

  /** Everything that a run may leave of its view. */
  get views(): string[] {
    const folder = join(this.scene.stateDir, "views");
    return existsSync(folder) ? readdirSync(folder) : [];
  }

  get runs(): Promise<readonly RunRecord[]> {
    return readRuns(this.scene.stateDir, (text) => expect.fail(text));
  }

  /** Nothing of the run is left: no snapshot, no view, no intent. */
  expectTidy(): void {
    expect(this.snapshots).toEqual([]);
    expect(this.views).toEqual([]);
    const journals = join(this.scene.stateDir, "journal");
    expect(existsSync(journals) ? readdirSync(journals) : []).toEqual([]);
  }
}
