import { describe, expect, it } from "vitest";
import { Pressure, watched } from "../../src/stream/pressure.ts";

/** A pressure whose time passes by hand. */
function byHand(): { pressure: Pressure; pass: (ms: number) => void } {
  let now = 0;
  return { pressure: new Pressure(() => now), pass: (ms) => (now += ms) };
}

describe("what holds a pipe up", () => {
  it("is the sink while nobody asks, the source while it has not answered, and what lies between otherwise", async () => {
    const { pressure, pass } = byHand();
    pass(10);
    expect(pressure.take()).toBe("sink");
    let answer: () => void = () => undefined;
    const asked = pressure.asking(new Promise<void>((resolve) => (answer = resolve)));
    pass(10);
    expect(pressure.take()).toBe("between");
    const read = pressure.reading(Promise.resolve());
    pass(10);
    expect(pressure.take()).toBe("source");
    await read;
    pass(10);
    expect(pressure.take()).toBe("between");
    answer();
    await asked;
    pass(10);
    expect(pressure.take()).toBe("sink");
  });

  it("is whatever took at least half of the time since the last look, or nothing", () => {
    const { pressure, pass } = byHand();
    pass(30);
    void pressure.asking(new Promise(() => undefined));
    pass(30);
    void pressure.reading(new Promise(() => undefined));
    pass(30);
    expect(pressure.take()).toBeNull();
    pass(1);
    expect(pressure.take()).toBe("source");
    expect(pressure.take()).toBeNull();
  });

  it("counts answers that fail like others", async () => {
    const { pressure, pass } = byHand();
    await expect(pressure.asking(Promise.reject(new Error("no")))).rejects.toThrow("no");
    pass(10);
    expect(pressure.take()).toBe("sink");
  });
});

describe("a watched source", () => {
  async function* three(ended: string[]): AsyncGenerator<number> {
    try {
      yield* [1, 2, 3];
      await Promise.resolve();
    } finally {
      ended.push("let go");
    }
  }

  it.for([[undefined], [new Pressure()]])("gives the same items, and is let go when it is left", async ([pressure]) => {
    const [ended, seen]: [string[], number[]] = [[], []];
    for await (const item of watched(three(ended), pressure, "reading")) seen.push(item);
    for await (const item of watched(three(ended), pressure, "asking")) {
      seen.push(item);
      break;
    }
    expect(seen).toEqual([1, 2, 3, 1]);
    expect(ended).toEqual(["let go", "let go"]);
  });
});
