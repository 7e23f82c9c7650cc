/** The hook of `loading.mjs`, which runs on a thread of its own. */
import { appendFileSync } from "node:fs";
import { env } from "node:process";

export async function resolve(specifier, context, next) {
  const found = await next(specifier, context);
  if (context.parentURL !== undefined) appendFileSync(env.ZFERRY_TEST_LOADED, `${found.url} ${context.parentURL}\n`);
  return found;
}
