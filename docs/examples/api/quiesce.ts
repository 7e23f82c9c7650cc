/** Services down for a moment of work only, and up again whatever happens to this process. */
import { type QuiesceRequest, quiesced, recoverOwed } from "zferry";

export async function quietly<T>(request: QuiesceRequest, work: () => Promise<T>): Promise<T> {
  const { stateDir, warn, signal } = request;
  await recoverOwed({ stateDir, isDryRun: false, warn, signal }); // what an earlier process still owes
  const { worked, failures } = await quiesced(request, work);
  for (const failure of failures) console.error("something may still be down:", failure);
  if ("error" in worked) throw worked.error;
  return worked.value;
}
