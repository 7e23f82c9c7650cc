/** `zferry doctor`: one line for each thing that was tried on the real store, and what follows from it. */
import type { Command } from "commander";
import { MiB } from "../bytes.ts";
import { examine, type Outcome, type ProbeResult } from "../doctor.ts";
import { ZferryError } from "../errors.ts";
import { storeLimits } from "../store/open.ts";
import { type SharedFlags, size, withStore } from "./options.ts";
import type { RunCommand } from "./run-command.ts";
import { type Session, useStoreAt } from "./session.ts";
import { impatient, patience, storeSettings } from "./settings.ts";

/** Larger parts would prove no more, and cost more. */
const largestProbePartBytes = 5 * MiB;

const explanation = `
Everything is tried under a random prefix in doctor/, which is emptied again. It takes up to 12 MiB of traffic. Exit
status: 0 all is well; 3 something does not work, and the lines say what follows; 15 backups cannot be stored here.`;

const words: Readonly<Record<Outcome, string>> = { ok: "ok", finding: "finding", failed: "FAILED", skipped: "skipped" };

export function doctorCommand(command: Command, run: RunCommand): void {
  command
    .option("--chunk-size <size>", "the size backups are to be stored with (default 1GiB)", size)
    .addHelpText("after", explanation);
  withStore(command, patience.text).action(run(doctor));
}

async function doctor(session: Session, _words: readonly string[], flags: SharedFlags): Promise<void> {
  const { report, terminal, settings } = session;
  const wanted = storeSettings(flags, settings.config, null);
  const limits = storeLimits(wanted.url, terminal.environment);
  const probePartBytes = Math.max(limits.minPartBytes, Math.min(wanted.partBytes, largestProbePartBytes));
  const opened = { ...impatient(flags, wanted), partBytes: probePartBytes };
  const chunkBytes = flags.chunkSize ?? settings.config.defaults.chunkBytes;
  const probes = await useStoreAt(session, opened, "write", ({ store }) =>
    examine({
      store,
      probePartBytes,
      sizes: { chunkBytes, partBytes: wanted.partBytes },
      now: terminal.now,
      onProbe: (result) => {
        report.text(linesOf(result));
      },
      signal: terminal.signal,
    }),
  );
  report.json({ type: "doctor", store: wanted.url, probes });
  judge(probes);
}

function linesOf({ name, outcome, detail, consequence }: ProbeResult): string[] {
  const line = `${name.padEnd(17)}  ${words[outcome].padEnd(7)}  ${detail}`;
  return consequence === null ? [line] : [line, `${" ".repeat(28)}${consequence}`];
}

/** @throws ZferryError `store-failed` when backups cannot be stored, `findings` when something else is not as it should be */
function judge(probes: readonly ProbeResult[]): void {
  const failed = probes.filter(({ outcome }) => outcome === "failed");
  const found = probes.filter(({ outcome }) => outcome === "finding");
  const names = (some: readonly ProbeResult[]): string => some.map(({ name }) => name).join(", ");
  if (failed.length > 0) {
    throw new ZferryError("store-failed", `the store cannot be used: ${names(failed)}`, {
      hint: failed[0]?.consequence ?? "read the lines above",
    });
  }
  if (found.length > 0) {
    throw new ZferryError("findings", `the store can be used, with limits: ${names(found)}`, {
      hint: "read what follows from each of them",
    });
  }
}
