/** What is typed for the screens of `screens.test.ts`, in this order: each step has what those before it have made. */
import type { Typed } from "./screens.ts";

export interface Step {
  readonly name: string;
  /** A line of shell. */
  readonly line: string;
  readonly typed?: readonly Typed[];
  /** Under this name the screen is kept that was there when the first of `typed` came. */
  readonly live?: string;
}

function answered(at: RegExp, answer = ""): Typed {
  return { at, keys: [...(answer === "" ? [] : [answer]), "Enter"] };
}

const no = [answered(/\[y\/N\]/, "n")];
const alice = "--new-recipient alice.asc";

export const steps: readonly Step[] = [
  { name: "help", line: "zferry --help" },
  { name: "help-restore", line: "zferry restore --help" },
  { name: "unknown", line: "zferry lsit" },
  { name: "init", line: "zferry init --config new.yaml --store ./backups --dataset tank/src --passphrase-file passphrase" },
  {
    name: "init-asked",
    line: "zferry init --config asked.yaml",
    typed: [
      answered(/^Where do backups go.*\] *$/m, "./backups"),
      answered(/^Which datasets.*\] *$/m, "tank/src"),
      answered(/^All that is below.*\] *$/m, "maybe"),
      answered(/write yes or no *\nAll that is below.*\] *$/m),
      answered(/^File with the passphrase.*\] *$/m, "keys/passphrase"),
      answered(/^It is not there.*\] *$/m),
      answered(/^How many daily.*\] *$/m),
    ],
  },
  { name: "backup-dry-run", line: "zferry backup --dry-run" },
  { name: "backup", line: "zferry backup" },
  { name: "backup-incremental", line: "zferry backup" },
  { name: "put", line: "zferry put tank/other@one --store main <one.zfs" },
  { name: "put-stopped", line: "zferry put tank/slow@one --store main <slow", typed: [{ at: /limit: stdin/, keys: ["C-c"] }], live: "put-live" },
  { name: "put-busy", line: "zferry put tank/busy@one --store busy <one.zfs", typed: [{ at: /limit: the store[^]*try 2 in/, keys: ["C-c"] }], live: "put-retried" },
  { name: "get", line: "zferry get tank/other@one --store main | cmp - one.zfs" },
  { name: "list", line: "zferry list --store main" },
  { name: "verify", line: "zferry verify --store main" },
  { name: "status", line: "zferry status" },
  { name: "report", line: "zferry report --html report.html" },
  { name: "drill", line: "zferry drill --dataset tank/other --into tank/place --store main --seed 1 --sample 0" },
  { name: "doctor", line: "zferry doctor --config /dev/null --store ./backups --state-dir state" },
  { name: "doctor-jobs", line: "zferry doctor" },
  { name: "doctor-restore", line: "zferry doctor --restore" },
  { name: "restore-dry-run", line: "zferry restore tank/src --store main --to tank/back --dry-run" },
  { name: "restore", line: "zferry restore tank/src --store main --to tank/back" },
  { name: "restore-there", line: "zferry restore tank/other --store main --to tank/src" },
  { name: "download", line: "zferry download tank/other@one ./folder --store main" },
  { name: "copy", line: "zferry copy --from main --to ./second" },
  { name: "import", line: "zferry import ./exported --store ./imported --passphrase-file passphrase" },
  { name: "key-add", line: `zferry key add alice --store main ${alice}` },
  { name: "key-list", line: "zferry key list --store main" },
  { name: "key-remove-asked", line: "zferry key remove alice --store main", typed: no },
  { name: "key-remove", line: "zferry key remove alice --store main --yes" },
  { name: "prune-keeps", line: "zferry prune home" },
  { name: "prune-asked", line: "zferry put -q tank/two@one --store main <one.zfs; zferry put -q tank/two@two --store main <later.zfs; zferry prune --dataset tank/two --keep-last 1 --store main", typed: no },
  { name: "prune", line: "zferry prune --dataset tank/two --keep-last 1 --store main --yes" },
  { name: "prune-strays", line: "zferry prune --strays --store main" },
  { name: "recover", line: "zferry recover" },
  { name: "state", line: "zferry state rebuild --store main" },
  { name: "systemd", line: "zferry systemd --output units --program /usr/bin/zferry" },
  { name: "notify", line: "zferry notify --unit zferry-backup-home.service" },
  { name: "notify-papers", line: "zferry notify --unit zferry-backup-papers.service --config papers.yaml" },
  { name: "completion", line: "zferry completion bash" },
  { name: "bench", line: "zferry bench --source synthetic:2MiB --threads 2 --store ./measured" },
  { name: "bench-plan", line: "zferry bench --plan 10TB" },
  { name: "list-nowhere", line: "zferry list --store /nowhere" },
  { name: "backup-files", line: "zferry backup --config papers.yaml" },
  { name: "files-list", line: "zferry files list --config papers.yaml" },
  { name: "files-list-run", line: "zferry files list papers --run 000001 --config papers.yaml" },
  { name: "files-restore", line: "zferry files restore papers letters --into back --config papers.yaml" },
  { name: "files-restore-there", line: "zferry files restore papers letters --into back --config papers.yaml" },
];
