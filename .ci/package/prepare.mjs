/**
 * Before `npm pack`: nothing of an older build stays in dist/, and the lock file goes along as npm-shrinkwrap.json, so that
 * an installation has the versions that were tested and the digests they had. `--undo` takes that file away again.
 */
import { copyFileSync, rmSync } from "node:fs";
import { fileURLToPath } from "node:url";

const at = (name) => fileURLToPath(new URL(`../../${name}`, import.meta.url));

rmSync(at("npm-shrinkwrap.json"), { force: true });
if (!process.argv.includes("--undo")) {
  rmSync(at("dist"), { recursive: true, force: true });
  copyFileSync(at("package-lock.json"), at("npm-shrinkwrap.json"));
}
