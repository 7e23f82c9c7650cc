/**
 * The metrics as a file for Prometheus' textfile collector: whole or not at all, and readable by whoever collects.
 */
import { stat } from "node:fs/promises";
import { dirname } from "node:path";
import { writeWhole } from "../files.ts";
import { gather, type GatherRequest, type Standings } from "./gather.ts";
import { metricsText } from "./metrics.ts";

const readableByAll = 0o644;

/**
 * Writes how everything stands now. Never rejects: what goes wrong is a warning, because no backup depends on it.
 *
 * @param known - where it was gathered just now; otherwise that is done
 */
export async function publishMetrics(textfile: string, request: GatherRequest, known: Standings | null = null): Promise<void> {
  try {
    // A folder that the collector has not made is not watched by it.
    await stat(dirname(textfile));
    await writeWhole(textfile, metricsText(known ?? (await gather(request))), readableByAll);
  } catch (error) {
    request.warn(`the metrics could not be written to "${textfile}": ${(error as Error).message}`);
  }
}
