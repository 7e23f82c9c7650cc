/**
 * A pretended zfs that costs no more than a shell: for tests that run hundreds of backups. It knows one dataset,
 * `tank/a`, one snapshot of it at a time, and what it may be told: to stop in the middle of a send and stay.
 */
import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
const script = `#!/bin/sh
world=$(dirname "$0")
stream=STREAM
echo "$$ $*" >> "$world/calls"
for last; do :; done
row() { printf '%s\\t%s\\t%s\\t%s\\n' "$@"; }
rows() {
  row "$1" type "$2" -; row "$1" guid "$3" -; row "$1" createtxg 9 -; row "$1" creation 1700000000 -
  row "$1" userrefs "$4" -; row "$1" zferry:snapshot "$mark" "$5"; row "$1" encryption off -
}
missing() { echo "cannot open '$last': dataset does not exist" >&2; exit 1; }
snapshot=$(cat "$world/snapshot" 2>/dev/null)
mark=$(cat "$world/mark" 2>/dev/null || echo 1)
case "$1" in
get)
  case "$last" in
  tank/a) rows tank/a filesystem 1 - - ;;
  tank/a@*) [ "$last" = "$snapshot" ] || missing ;;
  tank/back) cmp -s "$stream" "$world/received" || missing; rows tank/back filesystem 2 - -; snapshot="tank/back@\${snapshot#*@}" ;;
  *) missing ;;
  esac
  [ -z "$snapshot" ] || rows "$snapshot" snapshot "$(cat "$world/guid")" 0 local ;;
snapshot) echo "$last" > "$world/snapshot"; echo "\${3#*=}" > "$world/mark" ;;
destroy) [ ! -e "$world/held" ] && rm "$world/snapshot" || { echo "cannot destroy snapshot $last: it's being held." >&2; exit 1; } ;;
hold) echo "$3" > "$world/held" ;;
release) rm "$world/held" 2>/dev/null || { echo "cannot release hold from snapshot '$last': no such tag on this dataset" >&2; exit 1; } ;;
send)
  case "$*" in
  *-n*) printf 'full\\t%s\\t1000\\nsize\\t1000\\n' "$last"; exit 0 ;;
  *@*) ;;
  *) printf 'missing snapshot argument\\nusage:\\n' >&2; exit 2 ;;
  esac
  [ -e "$world/stop-at" ] || exec cat "$stream"
  head -c "$(cat "$world/stop-at")" "$stream"
  exec sleep 1000 ;;
receive) exec cat > "$world/received" ;;
esac
`;

/** A world of its own, in a folder that is emptied with it. */
export class QuickZfs {
  /** For `--zfs`. */
  readonly program: string;
  readonly #folder: string;

  constructor(folder: string, stream: { readonly path: string; readonly guid: bigint }) {
    this.#folder = folder;
    mkdirSync(folder, { recursive: true });
    this.program = join(folder, "zfs");
    writeFileSync(this.program, script.replace("STREAM", `'${stream.path}'`));
    chmodSync(this.program, 0o700);
    writeFileSync(join(folder, "guid"), String(stream.guid));
    this.begin();
  }

  /** As if nothing had happened but the snapshot, if there is one to keep. */
  begin({ stopAtBytes = null, snapshot = null }: { readonly stopAtBytes?: number | null; readonly snapshot?: string | null } = {}): void {
    for (const name of ["snapshot", "held", "received", "stop-at"]) rmSync(join(this.#folder, name), { force: true });
    writeFileSync(join(this.#folder, "calls"), "");
    if (snapshot !== null) writeFileSync(join(this.#folder, "snapshot"), snapshot);
    if (stopAtBytes !== null) writeFileSync(join(this.#folder, "stop-at"), String(stopAtBytes));
  }

  /** From now on a send goes through. */
  goOn(): void {
    rmSync(join(this.#folder, "stop-at"), { force: true });
  }

  get #calls(): string[] {
    return readFileSync(join(this.#folder, "calls"), "utf8").split("\n").filter((line) => line !== "");
  }

  /** Whether it was called with this verb. */
  wasAsked(verb: string): boolean {
    return this.#calls.some((call) => call.split(" ")[1] === verb);
  }

  /** Children that still run. */
  get alive(): number[] {
    return this.#calls.map((call) => Number.parseInt(call, 10)).filter(isRunning);
  }

  /** The snapshot that was taken; null when there is none, or none any more. */
  get snapshot(): string | null {
    const path = join(this.#folder, "snapshot");
    return existsSync(path) ? readFileSync(path, "utf8").trim() : null;
  }

  /** Whether a snapshot or a hold of the run is left. */
  get leftovers(): string[] {
    return ["snapshot", "held"].filter((name) => existsSync(join(this.#folder, name)));
  }
}

/** One that is dead and was not buried yet does not run. */
function isRunning(pid: number): boolean {
  try {
    return !/^\d+ \(.*\) Z/.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
  } catch {
    return false;
  }
}
