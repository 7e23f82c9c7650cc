#!/usr/bin/env node
/** sha256.mjs < STREAM — its SHA-256 in hexadecimal: `sha256sum`, which not every system has. */
import { createHash } from "node:crypto";

const digest = createHash("sha256");
for await (const slice of process.stdin) digest.update(slice);
console.log(digest.digest("hex"));
