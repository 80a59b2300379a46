/** What outlives a restart: files that are whole or not there, and what a broken one does to the start. */
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import type { Values } from "../../src/base/config.ts";
import { MoqeError } from "../../src/base/errors.ts";
import { createLogger } from "../../src/base/log.ts";
import { serveFlags } from "../../src/cli/flags.ts";
import { openService } from "../../src/cli/service.ts";
import { StateFolder } from "../../src/http/state.ts";

/** A folder of its own for each test. */
async function inFolder(test: (path: string) => Promise<void>): Promise<void> {
  const path = await Deno.makeTempDir();
  try {
    await test(path);
  } finally {
    await Deno.remove(path, { recursive: true });
  }
}

/** A service over a state folder, with the lines that it logged at its start. */
async function opened(state: string) {
  const fallbacks = Object.entries(serveFlags).map(([key, flag]) => [key, flag.fallback]);
  const flags = { ...Object.fromEntries(fallbacks), state } as Values<typeof serveFlags>;
  const lines: string[] = [];
  const service = await openService(flags, createLogger("warn", (line) => lines.push(line)));
  return { service, lines: lines.map((line) => JSON.parse(line)) };
}

const MONTH = new Date().toISOString().slice(0, 7);

Deno.test("a value is on the disk before its file takes the old one's place", () =>
  inFolder(async (path) => {
    const { open, rename } = Deno;
    const steps: string[] = [];
    Deno.open = async (...args) => {
      const file = await open(...args);
      const { sync } = file;
      file.sync = () => (steps.push("sync"), sync.call(file));
      return file;
    };
    Deno.rename = (from, to) => (steps.push("rename"), rename(from, to));
    try {
      const folder = new StateFolder(path);
      await folder.write("usage", { a: "ä".repeat(100_000) });
      await folder.write("usage", { a: 1 });
      assertEquals(await folder.read("usage"), { a: 1 }, "nothing of a longer one is left");
    } finally {
      Object.assign(Deno, { open, rename });
    }
    assertEquals(steps, ["sync", "rename", "sync", "rename"]);
    assertEquals((await Deno.stat(`${path}/usage.json`)).mode! & 0o777, 0o600);
  }));

const broken: [string, string, string][] = [
  ["an empty file", "", "it is empty"],
  ["half a file", `{"month":"${MONTH}","chara`, "it must be JSON"],
  ["a month without counts", JSON.stringify({ month: MONTH }), "characters"],
  ["counts that are none", JSON.stringify({ month: MONTH, characters: { a: -1 } }), "characters.a"],
];
for (const [what, text, fault] of broken) {
  Deno.test(`usage starts at 0 with ${what}, which is told and kept aside`, () =>
    inFolder(async (path) => {
      await Deno.writeTextFile(`${path}/usage.json`, text);
      const { service, lines } = await opened(path);
      const { meter } = service.options.access;
      assertEquals(meter.used("a"), 0);
      assertEquals(lines.map((l) => [l.level, l.file, l.keptAs]), [
        ["warn", `${path}/usage.json`, `${path}/usage.json.bad`],
      ]);
      assertStringIncludes(lines[0].error, fault);
      assertEquals(await Deno.readTextFile(`${path}/usage.json.bad`), text);
      meter.add("a", 7);
      await service.close();
      const again = await opened(path);
      assertEquals([again.service.options.access.meter.used("a"), again.lines], [7, []]);
      await again.service.close();
    }));
}

Deno.test("a glossary's file that is broken stops the start by its own name, without its words", () =>
  inFolder(async (path) => {
    const file = `${path}/glossary-1.json`;
    for (const text of ["secret terms", '{"name": "secret terms"}', "null"]) {
      await Deno.writeTextFile(file, text);
      const error = await assertRejects(() => opened(path), MoqeError, `cannot read ${file}: `);
      assert(!error.message.includes("secret"));
    }
    await Deno.remove(file);
    await (await opened(path)).service.close();
    await assertRejects(() => opened("/dev/null/x"), MoqeError, "use the folder /dev/null/x");
  }));

Deno.test("without a folder nothing is read, written or kept aside", async () => {
  const folder = new StateFolder(undefined);
  await folder.write("usage", 1);
  assertEquals([await folder.read("usage"), (await folder.readAll()).size], [undefined, 0]);
});
