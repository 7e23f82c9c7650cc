import { expect, it } from "vitest";
import { html, markup, textOf } from "../../src/report/html.ts";

it.for([
  ["a tag", `<script>alert(1)</script>`, "&lt;script&gt;alert(1)&lt;/script&gt;"],
  ["the end of an attribute", `"><img src=x onerror='y'>`, "&quot;&gt;&lt;img src=x onerror=&#39;y&#39;&gt;"],
  ["an entity", "&lt;", "&amp;lt;"],
  ["what turns the direction of a line", "a\u202eb", "a\\u202eb"],
  ["what a terminal obeys", "a\u001b[2Jb\u0000", "a\\u001b[2Jb\\u0000"],
  ["a template of its own", "${x}", "${x}"],
] as const)("%s becomes text", ([, text, shown]) => {
  expect(textOf(html`<p title="${text}">${text}</p>`)).toBe(`<p title="${shown}">${shown}</p>`);
});

it("escapes once, whatever stands in whatever", () => {
  expect(textOf(html`<ul>${["<a>", "&"].map((one) => html`<li>${one}</li>`)}</ul>${html`<b>${"<"}</b>`}${markup("<i>")}`)).toBe("<ul><li>&lt;a&gt;</li><li>&amp;</li></ul><b>&lt;</b><i>");
});

it("has nothing for null and false, and numbers as they are", () => {
  expect(textOf(html`[${null}${false}${0}${1.5}]`)).toBe("[01.5]");
});

it("takes no text for markup because it looks like it", () => {
  const pretender = JSON.parse('{"text":"<script>"}') as string;
  expect(() => textOf(html`${pretender}`)).toThrow();
});
