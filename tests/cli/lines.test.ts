import { assertEquals, assertRejects } from "@std/assert";
import { MoqeError } from "../../src/base/errors.ts";
import { batchLines, type Line, readLines } from "../../src/cli/lines.ts";

/** A text's bytes in chunks of `size`. */
async function* chunks(text: string, size: number): AsyncGenerator<Uint8Array> {
  const bytes = new TextEncoder().encode(text);
  for (let at = 0; at < bytes.length; at += size) {
    yield await Promise.resolve(bytes.subarray(at, at + size));
  }
}

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const item of items) found.push(item);
  return found;
}

Deno.test("lines come back as they were, however the bytes are cut", async () => {
  const text = "Grüße 😀\n\nwindows\r\n  \r\n\u{FEFF}bom\nlone\rcarriage\nno end";
  for (const size of [1, 2, 3, 7, 1000]) {
    const lines = await all(readLines(chunks(text, size), 100));
    assertEquals(lines.map((l) => l.text + l.end).join(""), text);
    assertEquals(lines.length, 7);
    assertEquals(lines[2], { text: "windows", end: "\r\n", bytes: 9 });
    assertEquals(lines.at(-1), { text: "no end", end: "", bytes: 6 });
    assertEquals(lines.reduce((n, l) => n + l.bytes, 0), new TextEncoder().encode(text).length);
  }
});

Deno.test("no input is no line, a newline is one", async () => {
  assertEquals(await all(readLines(chunks("", 1), 9)), []);
  assertEquals(await all(readLines(chunks("\n", 1), 9)), [{ text: "", end: "\n", bytes: 1 }]);
});

Deno.test("a line over the limit is refused before it is all in memory", async () => {
  let read = 0;
  async function* endless(): AsyncGenerator<Uint8Array> {
    for (;;) {
      read += 10;
      yield await Promise.resolve(new Uint8Array(10).fill(97));
    }
  }
  const error = await assertRejects(() => all(readLines(endless(), 100)), MoqeError, "read line 1");
  assertEquals([(error as MoqeError).code, read <= 120], ["too_large", true]);
});

Deno.test("batches keep to their bounds and a long line comes alone", async () => {
  const line = (text: string): Line => ({ text, end: "\n", bytes: text.length + 1 });
  async function* lines(): AsyncGenerator<Line> {
    for (const n of [1, 1, 1, 1, 9, 50, 2, 2]) yield await Promise.resolve(line("x".repeat(n)));
  }
  const bounds = { maxLines: 3, maxChars: 10, maxLineBytes: 100, patienceMs: 1000 };
  const batches = await all(batchLines(lines(), bounds));
  assertEquals(batches.map((b) => b.map((l) => l.text.length)), [[1, 1, 1], [1, 9], [50], [2, 2]]);
});

Deno.test("a batch that is not full does not wait for a slow line", async () => {
  async function* slow(): AsyncGenerator<Line> {
    yield { text: "a", end: "\n", bytes: 2 };
    await new Promise((resolve) => setTimeout(resolve, 60));
    yield { text: "b", end: "\n", bytes: 2 };
  }
  const bounds = { maxLines: 9, maxChars: 10, maxLineBytes: 100, patienceMs: 5 };
  assertEquals((await all(batchLines(slow(), bounds))).length, 2);
});
