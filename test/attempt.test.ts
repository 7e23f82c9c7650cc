/** An attempt is gone on with only for those who could open it from the beginning. */
import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { beginAttempt, misfitOf } from "../src/attempt.ts";
import type { FerrySettings } from "../src/cargo.ts";
import { bob, smallSettings, someBackup } from "./ferrying.ts";
import { ownFolder } from "./folder.ts";
import { fixtureKey } from "./openpgp/sample.ts";

type Recipients = FerrySettings["recipients"];

const alice = fixtureKey("alice").certificate;
const one: Recipients = { passphrases: ["the first one"], certificates: [] };
const both: Recipients = { passphrases: ["the first one"], certificates: bob.certificates };
const others = "it is for other recipients now";

it.for<[string, Recipients, Recipients, string | null]>([
  ["are the same", both, both, null],
  ["come in another order", { passphrases: [], certificates: [alice, ...bob.certificates] }, { passphrases: [], certificates: [...bob.certificates, alice] }, null],
  ["have another certificate", bob, { passphrases: [], certificates: [alice] }, others],
  ["have one certificate more", bob, { passphrases: [], certificates: [alice, ...bob.certificates] }, others],
  ["have one certificate less", { passphrases: [], certificates: [alice, ...bob.certificates] }, bob, others],
  ["have another passphrase", one, { passphrases: ["the other one"], certificates: [] }, others],
  ["have one passphrase more", one, { passphrases: ["the first one", "the other one"], certificates: [] }, others],
  ["have a passphrase instead of a certificate", bob, one, others],
  ["have no passphrase any more", both, bob, others],
])("when its recipients %s", async ([, before, now, misfit]) => {
  const settings = { ...smallSettings, recipients: before };
  const rest = { storeUrl: "file:///store", backup: someBackup, send: null };
  const { journal } = await beginAttempt(ownFolder(), { verb: "put", name: someBackup }, settings, rest);
  if (journal === null) throw new Error("no journal");
  await journal.close();
  expect(await misfitOf(journal, { ...smallSettings, recipients: now })).toBe(misfit);
  for (const passphrase of before.passphrases) expect(readFileSync(journal.path, "utf8")).not.toContain(passphrase);
});
