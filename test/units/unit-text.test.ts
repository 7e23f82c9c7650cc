import fc from "fast-check";
import { expect, it } from "vitest";
import { commandLine, plain, unitFile, unitName, word } from "../../src/units/unit-text.ts";

it("writes a file that says whose it is, with its sections in order and a line for each value of a list", () => {
  const { name, text } = unitFile("zferry-a.service", ["For a."], [
    ["Unit", [["Description", "a"], ["After", []]]],
    ["Service", [["LoadCredential", ["x:/x", "y:/y"]], ["Nice", 10]]],
  ]);
  expect(name).toBe("zferry-a.service");
  expect(text).toBe(
    "# Written by `zferry systemd`.\n# For a.\n\n[Unit]\nDescription=a\n\n[Service]\nLoadCredential=x:/x\nLoadCredential=y:/y\nNice=10\n",
  );
});

it.for([
  ["home", "zferry-backup-home"],
  ["a-b_c.d:e9", "zferry-backup-a-b_c.d:e9"],
  ["tank/home", "zferry-backup-tank\\x2fhome"],
  ["my job", "zferry-backup-my\\x20job"],
  ["50%", "zferry-backup-50\\x25"],
  ["a@b", "zferry-backup-a\\x40b"],
  ["ä", "zferry-backup-\\xc3\\xa4"],
])('makes of the name "%s" a name of a unit', ([label = "", name]) => {
  expect(unitName("zferry-backup-", label)).toBe(name);
});

it("gives different names different units", () => {
  fc.assert(fc.property(fc.string(), fc.string(), (one, other) => (unitName("u-", one) === unitName("u-", other)) === (one === other)));
});

it.for([[222, true], [223, false]] as const)("a job's name of %i letters makes a unit whose failure can still be told: %s", ([length, fits]) => {
  const make = (): string => unitName("zf-", "x".repeat(length));
  if (fits) expect(`zferry-failed@${make()}.service.service`).toHaveLength(255);
  else expect(make).toThrow("is too long for a systemd unit");
});

it.for([
  ["/usr/bin/node", "/usr/bin/node"],
  ["a b", '"a b"'],
  ["100%", "100%%"],
  ['say "hi"', '"say \\"hi\\""'],
  ["back\\slash", '"back\\\\slash"'],
  [";", '";"'],
  ["", '""'],
  ["two\nlines", '"two\\x0alines"'],
  ["größe", "größe"],
])("writes the word %j so that it stays one", ([text = "", written]) => {
  expect(word(text)).toBe(written);
});

it.for([["50%", "50%%"], ["two\nlines", "two lines"], ["C:\\x", "C:\\x"], ["its end is \\", "its end is \\ "]])("writes %j as text of one line: %j", ([text = "", written]) => {
  expect(plain(text)).toBe(written);
});

it("keeps a variable in a command from being expanded", () => {
  expect(commandLine(["/bin/x", "$HOME", "a $b"])).toBe('/bin/x "$$HOME" "a $$b"');
});
