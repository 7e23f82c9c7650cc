/**
 * Where a secret is: the configuration says it, `secrets.ts` goes and gets it.
 */
import { z } from "zod";
import { setting } from "./values.ts";

export type SecretSource =
  | { readonly kind: "file"; readonly path: string }
  | { readonly kind: "env"; readonly variable: string }
  | { readonly kind: "command"; readonly line: string }
  | { readonly kind: "credential"; readonly name: string };

/** What systemd takes as a name. */
export const credentialName = z.string().regex(/^(?!\.{1,2}$)[A-Za-z0-9_.-]{1,255}$/, "must be the name of a systemd credential: letters, digits and _ . - only");

/** What shells take as a name. */
export const variableName = z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*$/, "must be the name of an environment variable");

const words = "must be one of {file: PATH}, {env: PREFIX}, {command: LINE} and {credential: NAME}";

/** The keys of a store. */
export const keysSchema = z
  .strictObject({
    file: setting(z.string().min(1), "file with lines `AWS_ACCESS_KEY_ID=…` and `AWS_SECRET_ACCESS_KEY=…`, mode 0600").optional(),
    env: setting(variableName, "beginning of environment variables: with `R2` the keys are in `R2_ACCESS_KEY_ID` and `R2_SECRET_ACCESS_KEY`").optional(),
    command: setting(z.string().min(1), "run by `sh -c`; prints such lines").optional(),
    credential: setting(credentialName, "systemd credential with such lines").optional(),
  })
  .transform(({ file, env, command, credential }, context): SecretSource => {
    const sources: SecretSource[] = [];
    if (file !== undefined) sources.push({ kind: "file", path: file });
    if (env !== undefined) sources.push({ kind: "env", variable: env });
    if (command !== undefined) sources.push({ kind: "command", line: command });
    if (credential !== undefined) sources.push({ kind: "credential", name: credential });
    const [source, second] = sources;
    if (source !== undefined && second === undefined) return source;
    context.addIssue(words);
    return z.NEVER;
  });
