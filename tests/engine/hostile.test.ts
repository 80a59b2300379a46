/** A store that misbehaves while experts are fetched: right tokens or a clear error, and the engine goes on. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { MoqeError } from "../../src/base/errors.ts";
import type { Job } from "../../src/engine/queue.ts";
import { Scheduler } from "../../src/engine/scheduler.ts";
import { HttpStore } from "../../src/store/http_store.ts";
import { goldenFolder, prefixOf, readGolden } from "../support/golden.ts";
import { type Fault, hostileStore } from "../support/hostile_store.ts";
import { packFolder, type TestModel, withPacked } from "../support/model.ts";

const NAME = "every_layer";
const WIDTHS = { experts: { bits: 2 }, trunk: { bits: 8 }, embedding: { bits: 8 } } as const;

const JOBS: readonly Job[] = readGolden(NAME).sentences.map((s) => ({
  source: Int32Array.from(s.source),
  ...prefixOf(s),
  beams: 2,
  lengthPenalty: 1,
  maxTokens: 16,
}));

const run = (m: TestModel) =>
  new Scheduler(m.model, m.spec, { maxRows: 128, maxQueue: 100 }).run(JOBS);

/** Packs once, serves the objects over HTTP, asks `faultOf` of every request once the trunk is loaded. */
async function behindHttp(
  use: (
    m: TestModel,
    expected: unknown,
    misbehave: (faultOf: (n: number) => Fault) => void,
  ) => Promise<void>,
): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "moqe-test-" });
  let faultOf: (n: number) => Fault = () => ({ kind: "none" }), requests = 0;
  try {
    const manifest = await packFolder(goldenFolder(NAME), folder, WIDTHS);
    let expected: unknown;
    await withPacked(folder, manifest, async (m) => void (expected = await run(m)));
    const files: Record<string, Uint8Array<ArrayBuffer>> = {};
    for (const o of manifest.objects) files[o.name] = await Deno.readFile(`${folder}/${o.name}`);
    const server = hostileStore(files, () => faultOf(requests++));
    try {
      const store = new HttpStore(new URL(server.url), {
        attempts: 4,
        retryMs: 5,
        timeoutMs: 2000,
      });
      const misbehave = (f: (n: number) => Fault) => {
        requests = 0;
        faultOf = f;
      };
      // Two slots: nearly every step fetches.
      await withPacked(folder, manifest, (m) => use(m, expected, misbehave), {
        store,
        maxSlots: 2,
      });
    } finally {
      await server.close();
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

const PASSING: Record<string, Fault> = {
  truncate: { kind: "truncate" },
  reset: { kind: "reset" },
  "503": { kind: "status", status: 503, retryAfter: "0" },
  "short answer": { kind: "short" },
  "flipped bit": { kind: "flip" },
};

for (const [what, fault] of Object.entries(PASSING)) {
  Deno.test(`every fourth answer is a ${what}: the tokens are those of a well-behaved store`, async () => {
    await behindHttp(async (m, expected, misbehave) => {
      misbehave((n) => n % 4 === 3 ? fault : { kind: "none" });
      assertEquals(await run(m), expected as Awaited<ReturnType<typeof run>>);
      if (fault.kind === "flip") assert(m.fetcher.stats().refused > 0, "the hash caught it");
      // fetch() itself asks again when a kept-alive connection is reset before any answer.
      else if (fault.kind !== "reset") assert(m.fetcher.stats().retries > 0, "it was asked again");
    });
  });
}

Deno.test("bytes that stay wrong never reach a kernel, and the engine answers again when they are right", async () => {
  await behindHttp(async (m, expected, misbehave) => {
    misbehave(() => ({ kind: "flip" }));
    const error = await assertRejects(() => run(m), MoqeError);
    assertEquals(error.code, "corrupt");
    misbehave(() => ({ kind: "none" }));
    assertEquals(await run(m), expected as Awaited<ReturnType<typeof run>>);
    const { host } = m.ledger.snapshot();
    assertEquals(
      [host.lines.fetching, host.lines.verified],
      [0, 0],
      "no byte is left on the ledger",
    );
  });
});

Deno.test("a store that is gone gives a clear error, and the next request works when it is back", async () => {
  await behindHttp(async (m, expected, misbehave) => {
    misbehave(() => ({ kind: "status", status: 503, retryAfter: "0" }));
    const error = await assertRejects(() => run(m), MoqeError);
    assertEquals(error.code, "unavailable");
    misbehave(() => ({ kind: "none" }));
    assertEquals(await run(m), expected as Awaited<ReturnType<typeof run>>);
  });
});
