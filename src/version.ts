/** The program's own version, as package.json has it. */
import { createRequire } from "node:module";

export const { version } = createRequire(import.meta.url)("../package.json") as { version: string };
