import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { architectureOf } from "../../src/arch/registry.ts";
import { cpuScratchBytes } from "../../src/backend/cpu/scratch.ts";
import { MoqeError } from "../../src/base/errors.ts";
import { divideBudget, scratchShape } from "../../src/engine/budget.ts";
import { widestPageBytes } from "../../src/nn/kv.ts";
import { Scheduler } from "../../src/engine/scheduler.ts";
import type { Manifest } from "../../src/store/manifest.ts";
import { goldenFolder, prefixOf, readGolden } from "../support/golden.ts";
import { packFolder, withPacked } from "../support/model.ts";

const WIDTHS = { experts: { bits: 2 }, trunk: { bits: 8 }, embedding: { bits: 8 } } as const;
const ROWS = 32, SOURCE = 24;

function divide(manifest: Manifest, gpuBytes: number) {
  const { plan, spec } = architectureOf(manifest.config).read(manifest.config);
  const scratchBytes = cpuScratchBytes(scratchShape(plan, spec, ROWS));
  return divideBudget(manifest, plan, spec, {
    gpuBytes,
    scratchBytes,
    maxBatchTokens: ROWS,
    maxSourceTokens: SOURCE,
    kvBits: 16,
  });
}

async function packed(use: (folder: string, manifest: Manifest) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "moqe-test-" });
  try {
    await use(folder, await packFolder(goldenFolder("step_four"), folder, WIDTHS));
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("every budget from the least on can be divided as planned, to the byte", async () => {
  await packed(async (folder, manifest) => {
    const { leastBytes, allResidentBytes } = divide(manifest, 2 ** 30);
    const sentence = readGolden("step_four").sentences[2]!;
    for (let step = 0; step < 24; step++) {
      // Odd numbers, close together where slots are few.
      const gpuBytes = leastBytes + step * step * 1013;
      const planned = divide(manifest, gpuBytes);
      const use = { gpuBytes, maxBatchTokens: ROWS, maxSourceTokens: SOURCE };
      await withPacked(folder, manifest, async (m) => {
        assertEquals(m.residency.stats().slots, planned.slots);
        assert(m.ledger.snapshot().gpu.usedBytes <= gpuBytes);
        const job = { source: Int32Array.from(sentence.source), ...prefixOf(sentence) };
        const limits = { beams: 4, lengthPenalty: 1, maxTokens: 12 };
        const scheduler = new Scheduler(m.model, m.spec, { maxRows: ROWS, maxQueue: 8 });
        assertEquals((await scheduler.run([{ ...job, ...limits }])).length, 1);
      }, use);
    }
    assertEquals(divide(manifest, allResidentBytes).slots, divide(manifest, 2 ** 30).experts);
  });
});

Deno.test("a pass has room for one sentence of the longest kind, however small --max-batch-tokens is", async () => {
  await packed((_, manifest) => {
    const { plan, spec } = architectureOf(manifest.config).read(manifest.config);
    const divided = (maxBatchTokens: number, maxSourceTokens: number) =>
      divideBudget(manifest, plan, spec, {
        gpuBytes: 2 ** 30,
        scratchBytes: 0,
        maxBatchTokens,
        maxSourceTokens,
        kvBits: 16,
      });
    assertEquals(divided(1, SOURCE), divided(SOURCE, SOURCE));
    assertEquals(divided(1, SOURCE).maxRows, SOURCE);
    assertEquals(divided(1, 4).maxRows, 8, "all beams");
    const longest = spec.embedding.maxPositions;
    assertEquals(
      divided(1, 4096).maxRows,
      longest,
      "no source is longer than the model's positions",
    );
    assert(divided(1, longest).activationBytes > divided(1, SOURCE).activationBytes);
    return Promise.resolve();
  });
});

Deno.test("one byte under the least is refused before anything is read, with the least that would do", async () => {
  await packed(async (folder, manifest) => {
    const { leastBytes } = divide(manifest, 2 ** 30);
    assertThrows(() => divide(manifest, leastBytes - 1), MoqeError, "--gpu-memory");
    const reads: string[] = [];
    const store = {
      origin: "counted",
      readRange: (
        name: string,
      ) => (reads.push(name), Promise.reject(new Error("must not be read"))),
      readAll: (name: string) => (reads.push(name), Promise.reject(new Error("must not be read"))),
    };
    const error = await assertRejects(
      () =>
        withPacked(folder, manifest, () => Promise.resolve(), {
          gpuBytes: leastBytes - 1,
          maxBatchTokens: ROWS,
          maxSourceTokens: SOURCE,
          store,
        }),
      MoqeError,
    );
    assertEquals(error.code, "over_budget");
    assertEquals(reads, []);
  });
});

Deno.test("K/V and a pass keep to what a kernel can see of a buffer, and one sentence must fit", async () => {
  await packed((_, manifest) => {
    const { plan, spec } = architectureOf(manifest.config).read(manifest.config);
    const ask = {
      gpuBytes: 2 ** 30,
      scratchBytes: 0,
      maxBatchTokens: ROWS,
      maxSourceTokens: SOURCE,
      kvBits: 16 as const,
    };
    const free = divideBudget(manifest, plan, spec, ask), page = widestPageBytes(spec, 16);
    const bindingBytes = (free.pages - 5) * page + 1;
    const bound = divideBudget(manifest, plan, spec, { ...ask, bindingBytes });
    assertEquals(bound.pages, free.pages - 5);
    const error = assertThrows(
      () =>
        divideBudget(manifest, plan, spec, { ...ask, maxBatchTokens: 1, bindingBytes: 3 * page }),
      MoqeError,
      "K/V of one sentence",
    );
    assertEquals(error.code, "unsupported");
    const wide = (maxBatchTokens: number) => () =>
      divideBudget(manifest, plan, spec, { ...ask, maxBatchTokens, bindingBytes });
    const { message } = assertThrows(wide(65535), MoqeError, "65535 tokens in one pass");
    const most = Number(/--max-batch-tokens (\d+)/.exec(message)![1]);
    wide(most)();
    assertThrows(wide(most + 1), MoqeError, "in one pass");
    // What one sentence needs is no question of batches.
    assertThrows(
      () =>
        divideBudget(manifest, plan, spec, {
          ...ask,
          maxBatchTokens: 1,
          maxSourceTokens: 250,
          bindingBytes: Math.floor(bindingBytes * 100 / most),
        }),
      MoqeError,
      "--max-source-tokens",
    );
    return Promise.resolve();
  });
});
