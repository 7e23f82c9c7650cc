/** JSON that others wrote, or a process that died while it did. */
import type { z } from "zod";

/** What the text says; null for anything that is not JSON of that schema. */
export function parsedAs<T>(schema: z.ZodType<T>, text: string): T | null {
  try {
    return schema.parse(JSON.parse(text));
  } catch {
    return null;
  }
}
