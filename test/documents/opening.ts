/** What `zferry key` prints. */
import { z } from "zod";
import { count, document, failure, snapshot, text } from "./values.ts";

export const keyList = document("key-list", "of zferry key list", {
  backups: z.array(
    z.object({
      backup: snapshot,
      keys: z.array(
        z.object({
          name: text.nullable().describe("of a key that was added; null for those the backup was made for"),
          passphraseCount: count,
          keyIds: z.array(text).describe("of certificates, hexadecimal"),
        }),
      ),
    }),
  ),
});

export const keyAdd = document("key-add", "of zferry key add", {
  name: text,
  backups: z.array(z.object({ backup: snapshot, outcome: z.enum(["added", "there", "failed"]), error: failure.nullable() })),
});

export const keyRemove = document("key-remove", "of zferry key remove", {
  name: text,
  backups: z.array(z.object({ backup: snapshot, outcome: z.enum(["would-go", "removed", "nothing", "failed"]), error: failure.nullable() })),
});
