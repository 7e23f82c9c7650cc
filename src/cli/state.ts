/** `zferry state rebuild`: the state file made anew from the store. */
import type { Command } from "commander";
import { rebuildState } from "../state-rebuild.ts";
import { withStore } from "./options.ts";
import { counted } from "./report.ts";
import type { RunCommand } from "./run-command.ts";
import { type Session, useStore } from "./session.ts";

export function stateCommand(command: Command, run: RunCommand): void {
  withStore(command.command("rebuild").description("make the state file anew from the store's manifests"), "requests").action(run(rebuild));
}

async function rebuild(session: Session): Promise<void> {
  const { report, settings, terminal } = session;
  const rebuilt = await useStore(session, { access: "read", named: null }, ({ store }) =>
    rebuildState({ store, stateDir: settings.stateDir, warn: report.warn, signal: terminal.signal }),
  );
  const { backupCount, damagedCount, anchors } = rebuilt;
  report.json({ type: "state-rebuild", backupCount, damagedCount, anchors: Object.fromEntries(anchors) });
  report.done([
    `${counted(backupCount, "backup")}, ${counted(damagedCount, "damaged manifest")}`,
    ...[...anchors].map(([dataset, backup]) => `anchor of ${dataset}: ${backup}`),
  ]);
}
