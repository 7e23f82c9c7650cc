/**
 * Loaded with `node --import`: writes the address of every module that is imported, a line each, to $ZFERRY_TEST_LOADED.
 */
import { register } from "node:module";

register(import.meta.resolve("./loading-hooks.mjs"));
