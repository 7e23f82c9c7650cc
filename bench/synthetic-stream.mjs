#!/usr/bin/env node
/**
 * synthetic-stream.mjs SIZE [GUID] — writes a valid full send stream of at least SIZE bytes (16GiB, 3221225472, …) to
 * stdout. What is in it says `src/replay/synthetic.ts`. Needs a build (`npm run build`).
 */
import { once } from "node:events";
import { parseSize } from "../dist/bytes.js";
import { syntheticStream } from "../dist/replay/synthetic.js";

const [sizeText = "1GiB", guidText = "1234567890123456789"] = process.argv.slice(2);
process.stdout.on("error", () => process.exit(1));
for (const slice of syntheticStream({ sizeBytes: parseSize(sizeText), guid: BigInt(guidText) })) {
  if (!process.stdout.write(slice)) await once(process.stdout, "drain");
}
