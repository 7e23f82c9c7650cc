import { createHash } from "node:crypto";
import { DOMParser } from "@xmldom/xmldom";
import { describe, expect, it } from "vitest";
import type { Chapter, Evidence } from "../../src/report/evidence.ts";
import { pagePolicy, reportPage } from "../../src/report/page.ts";
import { evidence, type MadeUp, now } from "./made-up.ts";

const { signal } = new AbortController();

async function pageOf(all: readonly MadeUp[], notes: readonly string[] = []): Promise<string> {
  return reportPage(await evidence(all, notes), signal);
}

const home = { dataset: "tank/home", nightCount: 40 };

/** Its text as a person reads it, without tags and styles. */
function wordsOf(page: string): string {
  return page.replace(/<style>.*<\/style>/s, "").replaceAll(/<[^>]*>/g, " ").replaceAll(/\s+/g, " ");
}

describe("a report", () => {
  it("says at its top whether all is well, in words", async () => {
    expect(await pageOf([home])).toContain("</span> Good: the one dataset is in order</h2>");
    expect(await pageOf([home, { ...home, dataset: "tank/db", job: "db", failed: [0] }])).toContain("</span> Bad: 1 of 2 datasets needs attention</h2>");
  });

  it("calls nothing good that was never backed up, and leads to what could not be looked at", async () => {
    const page = await pageOf([home, { dataset: "tank/new", job: "new", nightCount: 0 }], ["main: cannot be read"]);
    expect(page).toContain("</span> Nothing is bad, and 1 of 2 datasets has a note</h2>");
    expect(page).toContain('<li><a href="#d2">tank/new</a>: it has not run yet</li>');
    expect(page).toContain('<p class="why note">it has not run yet</p>');
    expect(await pageOf([{ ...home, failed: [0] }])).toContain('<p class="why bad">');
    expect(page).toContain('<p><a href="#notes">Not everything could be looked at, or told.</a></p>');
  });

  it("has all that is known of a dataset", async () => {
    const words = wordsOf(await pageOf([{ ...home, failed: [5] }]));
    for (const part of ["Last success 2026-11-21 02:0", "Next expected 2026-11-22", "Can be restored 2026-10-13 02:00 UTC to 2026-11-21 02:00 UTC : 39 restore points", "39 backups,", "Last verified 2026-11-20", "Last drill never", "Copies none", "Last downtime 1.2 s", "Estimated cost $1", "a month", "Fulls and incrementals", "What can be restored, for each day", "Sizes in the store", "Throughput", "Downtime", "run that failed"]) {
      expect(words).toContain(part);
    }
    expect(words).toContain("list prices of 2026-11-21; check them");
  });

  it("has every number of a plot in a table, and names the anchor of each incremental", async () => {
    const page = await pageOf([home]);
    for (const caption of ["Backups of tank/home", "Runs of tank/home", "Restorable days of tank/home"]) expect(page).toContain(`<caption>${caption}</caption>`);
    expect(page.match(/<tr><th scope="row">2026-1\d-\d\d 02:00<\/th><td>zferry-\d{8}T020000Z<\/td><td>(full|incremental)/g)).toHaveLength(40);
    expect(page).toContain("<td>zferry-20261121T020000Z</td><td>incremental</td><td>zferry-20261112T020000Z</td>");
  });

  it("says how the last drill, each copy and the last look of verify went", async () => {
    const made = await evidence([{ ...home, nightCount: 3 }]);
    const at = new Date("2026-11-20T12:00:00Z");
    const withFacts = (outcome: "passed" | "failed", ok: boolean): Promise<string> => {
      const chapters = made.chapters.map((chapter): Chapter => {
        const { standing, held } = chapter;
        if (standing === null || held === null) throw new Error("not as made up");
        const drill = { outcome, endedAt: at, restoreSeconds: outcome === "passed" ? 5400 : null } as NonNullable<typeof standing.drill>;
        const lastRun = { outcome: "failed", endedAt: at } as NonNullable<(typeof standing.copying)[number]["lastRun"]>;
        const copying = [{ store: "usb", lastRun, lastSuccessAt: null, waitingSince: at }, { store: "b2", lastRun: null, lastSuccessAt: at, waitingSince: null }, { store: "s3", lastRun: null, lastSuccessAt: null, waitingSince: at }];
        const verified = { level: "digest" as const, at, ok, etag: "e", findingCount: ok ? 0 : 1, findings: [] };
        return { ...chapter, held: { ...held, verified }, standing: { ...standing, drill, copying, copies: [{ ...held, store: "usb" }, { ...held, store: "attic" }] } };
      });
      return reportPage({ ...made, chapters }, signal).then(wordsOf);
    };
    const [good, bad] = [await withFacts("passed", true), await withFacts("failed", false)];
    expect(good).toContain("Last verified 2026-11-20 12:00 UTC (1d ago) : digest, nothing found");
    expect(good).toContain("Last drill 2026-11-20 12:00 UTC (1d ago) : passed, restored in 1.5 h");
    expect(good).toContain("Copies usb: the last copy failed , 2026-11-20 12:00 UTC (1d ago) b2: has the newest s3: behind since 2026-11-20 12:00 UTC attic: 3 backups");
    expect(bad).toContain(": digest, something found");
    expect(bad).toContain("Last drill 2026-11-20 12:00 UTC (1d ago) : failed");
  });

  it.for([
    ["no jobs", [], "No job backs up anything here"],
    ["no backups", [{ dataset: "tank/home", nightCount: 0 }], "There are no backups yet, and no runs"],
    ["one backup", [{ dataset: "tank/home", nightCount: 1 }], "1 restore point"],
    ["nothing that can be restored", [{ dataset: "tank/home", nightCount: 3, damaged: [2] }], "Can be restored nothing"],
  ] as const)("with %s says so", async ([, all, words]) => {
    expect(wordsOf(await pageOf(all))).toContain(words);
  });

  it("of five hundred backups has less than 400 KB, and of many more not much more than a thousand", async () => {
    const [few, many] = await Promise.all([pageOf([{ dataset: "tank/home", nightCount: 500 }]), pageOf([{ dataset: "tank/home", nightCount: 1100 }])]);
    expect(Buffer.byteLength(few)).toBeLessThan(400_000);
    expect(Buffer.byteLength(many)).toBeLessThan(800_000);
    expect(wordsOf(many)).toContain("The newest 1,000 rows of 1,100.");
  });

  it("says what could not be looked at", async () => {
    expect(wordsOf(await pageOf([home], ['main: "manifests/x" cannot be used: its seal is broken']))).toContain("To be known main: &quot;manifests/x&quot; cannot be used: its seal is broken");
  });

  it("names what runs have stored since the store was read", async () => {
    const made = await evidence([{ ...home, nightCount: 4 }]);
    const chapters = made.chapters.map((chapter) => ({ ...chapter, backups: chapter.backups.slice(0, 2) }));
    expect(wordsOf(await reportPage({ ...made, chapters }, signal))).toContain("not among the backups below: tank/home@zferry-20261120T020000Z, tank/home@zferry-20261121T020000Z.");
  });

  it("tells hosts apart, and does not judge what another machine has stored", async () => {
    const made = await evidence([home]);
    const [own] = made.chapters as [Chapter];
    const chapters = [{ ...own, host: "web1" }, { ...own, host: "laptop", standing: null, runs: [] }];
    const words = wordsOf(await reportPage({ ...made, chapters }, signal));
    expect(words).toContain("Good: the one dataset is in order");
    expect(words).toContain("tank/home on web1");
    expect(words).toContain("tank/home on laptop – Not judged: no job here backs it up");
  });

  it("ends when it is told to", async () => {
    await expect(reportPage(await evidence([home]), AbortSignal.abort(new Error("enough")))).rejects.toThrow("enough");
  });
});

const hostile = `"><script>alert(1)</script><img src=x onerror=alert(2)>'--></style></title>\u202e&amp;`;

/** Everything that somebody else can have chosen, chosen badly. */
async function attacked(): Promise<Evidence> {
  const made = await evidence([{ ...home, failed: [0, 3], message: hostile, damaged: [2] }], [hostile]);
  const chapters = made.chapters.map((chapter): Chapter => {
    const { standing, held } = chapter;
    if (standing === null || held === null) throw new Error("not as made up");
    const dataset = hostile as Chapter["dataset"];
    const backups = chapter.backups.map((backup) => ({ ...backup, trouble: backup.trouble === null ? null : hostile, entry: { ...backup.entry, backup: `${hostile}@${hostile}` as typeof backup.entry.backup } }));
    const copying = [{ store: hostile, lastRun: null, lastSuccessAt: null, waitingSince: now }];
    return { ...chapter, host: hostile, dataset, store: hostile, held: { ...held, store: hostile }, backups, standing: { ...standing, job: hostile, dataset, why: hostile, copying, copies: [{ ...held, store: `${hostile}2` }] } };
  });
  return { ...made, chapters: [...chapters, ...chapters.map((chapter) => ({ ...chapter, standing: null }))] };
}

describe("names and texts of others", () => {
  it("are text wherever they stand, and nothing that a browser obeys", async () => {
    const page = await reportPage(await attacked(), signal);
    expect(page).not.toMatch(/<script|<img|<iframe|<object|<link rel="(?!icon)|onerror=(?!alert\(2\)&gt;)|javascript:|\u202e/i);
    expect(page.match(/<style>/g)).toHaveLength(1);
    expect(page.split("&lt;script&gt;alert(1)").length).toBeGreaterThan(100);
  });

  it("leave the page well-formed: every tag is closed in its turn, and every id is there once", async () => {
    for (const made of [await attacked(), await evidence([home, { ...home, dataset: "tank/db", job: "db" }])]) {
      const page = await reportPage(made, signal);
      const xml = page.replace("<!doctype html>", "").replaceAll(/<(meta|link)([^>]*)>/g, "<$1$2/>").replace(/<style>.*<\/style>/s, "").replace("<!--", "");
      const complaints: string[] = [];
      new DOMParser({ onError: (level, message) => complaints.push(`${level}: ${message}`) }).parseFromString(xml, "text/xml");
      expect(complaints).toEqual([]);
      const ids = [...page.matchAll(/ id="([^"]+)"/g)].map(([, id]) => id);
      expect(new Set(ids).size).toBe(ids.length);
      for (const [, target] of page.matchAll(/(?:href="#|aria-labelledby=")([^"]+)"/g)) expect(ids).toContain(target);
    }
  });
});

describe("the policy of the page", () => {
  it("allows its one style sheet by its hash, and neither scripts nor addresses", async () => {
    const page = await pageOf([home]);
    const [, style = ""] = /<style>(.*)<\/style>/s.exec(page) ?? [];
    expect(pagePolicy).toBe(`default-src 'none'; style-src 'sha256-${createHash("sha256").update(style).digest("base64")}'; img-src data:; base-uri 'none'; form-action 'none'`);
    expect(/<meta http-equiv="Content-Security-Policy" content="([^"]*)">/.exec(page)?.[1]?.replaceAll("&#39;", "'")).toBe(pagePolicy);
    expect(style).not.toMatch(/url\(|@import/);
  });

  it("is kept by the page: no element has a style, a handler or an address of its own", async () => {
    const page = await pageOf([{ dataset: "tank/home", nightCount: 200, failed: [4], damaged: [9] }]);
    expect(page).not.toMatch(/ style="| on[a-z]+="| src="|xlink:/);
    for (const [, address] of page.matchAll(/ href="([^"]*)"/g)) expect(address).toMatch(/^#|^data:,$/);
  });
});
