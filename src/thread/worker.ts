/** A worker thread: runs the stations it was given until it is ended from outside. Started by `line.ts`. */
import { workerData, type MessagePort } from "node:worker_threads";
import { Receiver, Sender } from "./link.ts";
import { passesBlocksOn, runStation, type Station } from "./station.ts";

/** A station with its place between two links. */
export interface Post {
  readonly station: Station;
  readonly input: MessagePort;
  readonly output: MessagePort;
}

for (const { station, input, output } of workerData as readonly Post[]) {
  const receiver = new Receiver<unknown>(input);
  const onReturned = (block: ArrayBuffer): void => {
    receiver.giveBack(block);
  };
  void runStation(station, receiver, new Sender(output, passesBlocksOn(station) ? { onReturned } : {}));
}
