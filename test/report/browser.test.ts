/**
 * The page in Chromium, as people see it: at the widths of a phone, a desk and paper, light and dark, with and without
 * JavaScript. One browser for all of them; what asks the network for anything but the page fails.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { type Browser, type BrowserContextOptions, chromium, type Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it, type TestContext, vi } from "vitest";
import { pagePolicy, reportPage } from "../../src/report/page.ts";
import { serve } from "../../src/status/serve.ts";
import { ownFolder } from "../folder.ts";
import { look, need } from "../systems.ts";
import { evidence, type MadeUp } from "./made-up.ts";

const flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

let browser: Browser | null = null;

beforeAll(async () => {
  const executablePath = look("chromium");
  if (executablePath !== null) browser = await chromium.launch({ executablePath, args: flags }); // with an empty profile of its own
});

afterAll(async () => browser?.close());

/** Chromium on a busy machine. */
vi.setConfig({ testTimeout: 90_000 });

const phone = { width: 390, height: 844 };
const desk = { width: 1440, height: 900 };

const sets = {
  one: [{ dataset: "tank/home", nightCount: 1 }],
  many: [{ dataset: "tank/home", nightCount: 500, failed: [12, 13, 90], damaged: [40, 200] }],
  several: [{ dataset: "tank/home", nightCount: 12 }, { dataset: "tank/db", job: "db", nightCount: 5, failed: [0], message: '"><script>alert(1)</script>' }, { dataset: "tank/new", job: "new", nightCount: 0 }],
  none: [],
} satisfies Record<string, readonly MadeUp[]>;

const pages = new Map<string, Promise<string>>();

function pageOf(name: keyof typeof sets): Promise<string> {
  const made = pages.get(name) ?? evidence(sets[name], name === "several" ? ["main: a manifest cannot be used"] : []).then((all) => reportPage(all, new AbortController().signal));
  pages.set(name, made);
  return made;
}

interface Opened {
  readonly page: Page;
  /** Everything it has asked for but itself, and what the browser has complained of. */
  readonly complaints: readonly string[];
}

async function opened(context: TestContext, name: keyof typeof sets, options: BrowserContextOptions): Promise<Opened> {
  need(context, "chromium");
  const file = join(ownFolder(), "report.html");
  writeFileSync(file, await pageOf(name));
  return openedAt(context, pathToFileURL(file).href, options);
}

async function openedAt(context: TestContext, url: string, options: BrowserContextOptions): Promise<Opened> {
  if (browser === null) throw new Error("no browser");
  const window = await browser.newContext(options);
  context.onTestFinished(() => window.close());
  const complaints: string[] = [];
  await window.route("**/*", (route) => {
    if (route.request().url() === url) return route.continue();
    complaints.push(`asks for ${route.request().url()}`);
    return route.abort();
  });
  const page = await window.newPage();
  page.on("console", (message) => complaints.push(message.text()));
  page.on("pageerror", (error) => complaints.push(error.message));
  await page.goto(url);
  return { page, complaints };
}

interface AxeResult {
  readonly violations: readonly { readonly id: string; readonly nodes: readonly { readonly html: string; readonly failureSummary: string }[] }[];
  readonly passes: readonly { readonly id: string }[];
}

/** Runs every rule of axe, best practices too. Of many rows and dots that are alike it gets the first: it takes seconds for 10,000. */
async function violations(page: Page): Promise<string[]> {
  await page.evaluate("document.querySelectorAll('tbody tr:nth-child(n+15), circle:nth-child(n+15), rect:nth-child(n+15)').forEach((one) => one.remove())");
  await page.evaluate(axe); // not a script of the page: its policy stands
  const { violations: found, passes } = await page.evaluate<AxeResult>("axe.run(document, { resultTypes: ['violations'] })");
  expect(passes.map(({ id }) => id)).toEqual(expect.arrayContaining(["color-contrast", "html-has-lang", "landmark-one-main", "page-has-heading-one", "region"]));
  return found.flatMap(({ id, nodes }) => nodes.map(({ html, failureSummary }) => `${id}: ${html.slice(0, 200)}: ${failureSummary}`));
}

/** Texts of plots that lie on other texts of theirs, or outside. */
async function clashes(page: Page): Promise<unknown> {
  return page.evaluate(`[...document.querySelectorAll("svg")].filter((svg) => svg.checkVisibility()).flatMap((svg) => {
    const boxes = [...svg.querySelectorAll("text")].map((text) => [text.textContent, text.getBoundingClientRect()]);
    const whole = svg.getBoundingClientRect();
    const outside = boxes.filter(([, box]) => box.left < whole.left - 1 || box.right > whole.right + 1 || box.bottom > whole.bottom + 1 || box.top < whole.top - 1);
    const on = (a, b) => a.left < b.right && b.left < a.right && a.top + 2 < b.bottom && b.top + 2 < a.bottom;
    const over = boxes.filter(([, box], index) => boxes.some(([, other], at) => at < index && on(box, other)));
    return [...outside, ...over].map(([text]) => svg.getAttribute("aria-label") + ": " + text);
  })`);
}

const grounds = { light: "rgb(255, 255, 255)", dark: "rgb(17, 21, 26)" } as const;

describe("the page in a browser", () => {
  it.for([
    ["one", "dark", desk],
    ["many", "light", phone],
    ["several", "light", phone],
    ["several", "dark", desk],
    ["none", "light", phone],
  ] as const)("of %s backups, %s, has nothing that axe finds, asks for nothing, runs nothing, and fits into the window", async ([name, colorScheme, viewport], context) => {
    const { page, complaints } = await opened(context, name, { colorScheme, viewport });
    if (name !== "many") await page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })");
    expect(await page.evaluate("getComputedStyle(document.documentElement).backgroundColor")).toBe(grounds[colorScheme]);
    for (const size of name === "many" ? [phone, desk] : [viewport]) {
      await page.setViewportSize(size);
      expect(await page.evaluate("document.documentElement.scrollWidth")).toBe(size.width);
      expect(await clashes(page)).toEqual([]);
    }
    expect(await violations(page)).toEqual([]);
    expect(await page.locator("svg:visible text").count()).toBeGreaterThan(name === "none" ? -1 : 30);
    expect(complaints).toEqual([]);
  });

  it("is the same from status --serve, and asks for nothing else there", async (context) => {
    need(context, "chromium");
    const stop = new AbortController();
    const text = await pageOf("one");
    let ended = Promise.resolve();
    const url = await new Promise<string>((resolve) => {
      const page = (): Promise<{ text: string; policy: string }> => Promise.resolve({ text, policy: pagePolicy });
      const standings = (): Promise<never> => Promise.reject(new Error("nobody asks for it"));
      ended = serve({ address: { host: "127.0.0.1", port: 0 }, standings, page, onListening: resolve, warn: () => undefined, signal: stop.signal });
    });
    const { page, complaints } = await openedAt(context, `${url}/`, { viewport: desk });
    expect(await page.evaluate("getComputedStyle(document.querySelector('.overall')).backgroundColor")).toBe("rgb(229, 244, 234)");
    expect(await page.locator("svg:visible").count()).toBeGreaterThan(3);
    expect(complaints).toEqual([]);
    stop.abort();
    await ended;
  });

  it("can be read, and its tables opened with the keyboard, without JavaScript", async (context) => {
    const { page, complaints } = await opened(context, "several", { javaScriptEnabled: false, viewport: phone });
    expect(await page.locator("h2").first().textContent()).toBe("✕ Bad: 1 of 3 datasets needs attention");
    expect(await page.locator("svg:visible").count()).toBeGreaterThan(7);
    const table = page.getByRole("table", { name: "Backups of tank/home" });
    expect(await table.isVisible()).toBe(false);
    await page.getByText("All backups as a table").first().focus();
    await page.keyboard.press("Enter");
    expect(await table.getByRole("row").count()).toBe(13);
    await page.keyboard.press("Tab");
    expect(await page.locator("[role=region]:focus").getAttribute("aria-label")).toBe("Backups of tank/home");
    expect(complaints).toEqual([]);
  });

  it("leads to its beginning with the first key, and to each dataset by a link", async (context) => {
    const { page } = await opened(context, "several", { viewport: desk });
    await page.keyboard.press("Tab");
    expect(await page.evaluate("document.activeElement.textContent")).toBe("To the report");
    expect((await page.getByText("To the report").boundingBox())?.x).toBeGreaterThan(0);
    await page.getByRole("navigation").getByRole("link", { name: "tank/db" }).click();
    expect(page.url()).toMatch(/#d2$/);
  });

  it("is printed light, in a few sheets of A4, with what was opened", async (context) => {
    const { page, complaints } = await opened(context, "many", { colorScheme: "dark", viewport: desk });
    const sheets = async (): Promise<number> => (await page.pdf({ format: "A4", printBackground: true })).toString("latin1").match(/\/Type\s*\/Page\b/g)?.length ?? 0;
    expect(await sheets()).toBeLessThanOrEqual(2);
    await page.emulateMedia({ media: "print" });
    expect(await page.evaluate("getComputedStyle(document.documentElement).backgroundColor")).toBe(grounds.light);
    expect(await page.locator("summary:visible").count()).toBe(0);
    await page.evaluate("document.querySelectorAll('details')[1].open = true");
    expect(await page.getByRole("table", { name: "Restorable days of tank/home" }).isVisible()).toBe(true);
    expect(complaints).toEqual([]);
  });
});
