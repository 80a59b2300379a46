/**
 * The promise of results: a sentence's tokens and scores are the same bits from the least arena that works to
 * everything resident, alone or in any company, with one arena or many.
 */
import { assert, assertEquals } from "@std/assert";
import { expertLayout } from "../../src/base/layout.ts";
import { slotGeometry } from "../../src/experts/geometry.ts";
import { Calibration } from "../../src/pack/calibration/file.ts";
import { resolveWidth } from "../../src/quant/quantizers.ts";
import { lru } from "../../tools/replay/lru.ts";
import type { Job } from "../../src/engine/queue.ts";
import { Scheduler } from "../../src/engine/scheduler.ts";
import { writeCalibration } from "../support/calibration.ts";
import { openGolden } from "../support/packed.ts";
import { goldenFolder, prefixOf, readGolden } from "../support/golden.ts";
import { packFolder, type TestModel, type TestModelOptions, withPacked } from "../support/model.ts";

const TWO_BIT = { experts: { bits: 2 }, trunk: { bits: 8 }, embedding: { bits: 8 } } as const;

function jobs(name: string): Job[] {
  return readGolden(name).sentences.flatMap((s) =>
    [1, 4].map((beams) => ({
      source: Int32Array.from(s.source),
      ...prefixOf(s),
      beams,
      lengthPenalty: 1,
      maxTokens: 20,
    }))
  );
}

const run = (m: TestModel, list: readonly Job[], maxRows = m.maxRows) =>
  new Scheduler(m.model, m.spec, { maxRows, maxQueue: 100 }).run(list);

for (const name of ["every_layer", "sharded", "bases"]) {
  Deno.test(`${name}: results have the same bits whatever the arena, the company and the batch size`, async () => {
    const folder = await Deno.makeTempDir({ prefix: "moqe-test-" });
    try {
      const manifest = await packFolder(goldenFolder(name), folder, TWO_BIT);
      const list = jobs(name);
      const experts = manifest.expertLayers.reduce((n, l) => n + l.experts.length, 0);
      let expected: unknown;
      await withPacked(folder, manifest, async (m) => {
        expected = await run(m, list);
        const stats = m.residency.stats();
        assertEquals(stats.evictions, 0, "everything is resident");
        assert(stats.loads <= experts && stats.hits > 0);
      });
      const slotBytes = manifest.expertLayers[0]!.experts[0]!.block.length;
      const cases: { options: TestModelOptions; alone?: boolean; maxRows?: number }[] = [
        { options: { maxSlots: 2 } },
        { options: { maxSlots: 3, maxBindingBytes: 2 * slotBytes + 100 } },
        { options: { maxSlots: 5 }, alone: true },
        { options: {}, alone: true },
        { options: { maxSlots: experts - 1 }, maxRows: 24 },
      ];
      for (const { options, alone, maxRows } of cases) {
        await withPacked(folder, manifest, async (m) => {
          const found = alone
            ? (await Array.fromAsync(list, (job) => run(m, [job], maxRows))).flat()
            : await run(m, list, maxRows);
          assertEquals(
            found,
            expected as typeof found,
            JSON.stringify({ options, alone, maxRows }),
          );
          if (options.maxSlots === 2) {
            assert(m.residency.stats().evictions > 0, "a small arena evicts");
          }
          if (options.maxBindingBytes) assert(m.residency.arenas.length > 1, "the arena is split");
        }, options);
      }
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  });
}

Deno.test("requests of every kind of company give each the answer it would get alone", async () => {
  const folder = await Deno.makeTempDir({ prefix: "moqe-test-" });
  try {
    const manifest = await packFolder(goldenFolder("router_bias"), folder, TWO_BIT);
    const list = jobs("router_bias");
    await withPacked(folder, manifest, async (m) => {
      const alone = await Array.fromAsync(list, async (job) => (await run(m, [job]))[0]!);
      const scheduler = new Scheduler(m.model, m.spec, { maxRows: m.maxRows, maxQueue: 100 });
      // Requests that join while others decode, one of them cancelled on the way.
      const stop = new AbortController();
      const dropped = scheduler.run(list, { signal: stop.signal }).catch((e) =>
        (e as { code?: string }).code
      );
      const answers = list.map(async (job, i) => {
        await new Promise((r) => setTimeout(r, i));
        if (i === 4) stop.abort();
        return (await scheduler.run([job]))[0]!;
      });
      assertEquals(await Promise.all(answers), alone);
      assertEquals(await dropped, "cancelled");
      await scheduler.idle();
      assertEquals(scheduler.stats().queue, { waiting: 0, running: 0, parked: 0 });
    }, { maxSlots: 3, policy: lru });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

/** Experts of 2 to 4 bits in one store, whose narrow ones share slots. */
async function mixedWidths(quantizer: "symmetric" | "trellis"): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "moqe-test-" });
  const checkpoint = goldenFolder("every_layer"), list = jobs("every_layer");
  const { checkpoint: { weights }, plan } = await openGolden("every_layer");
  weights.close();
  writeCalibration(`${folder}/calibration`, plan);
  const calibration = await Calibration.open(`${folder}/calibration`, plan);
  try {
    const count = plan.expertLayers.reduce((n, l) => n + l.count, 0);
    const [two, four] = ([2, 4] as const).map((bits) =>
      count * expertLayout(plan.expertLayers[0]!.projections, resolveWidth({ bits }).format).bytes
    );
    const manifest = await packFolder(checkpoint, folder, {
      ...TWO_BIT,
      experts: { bits: 2, quantizer, rounding: "gptq", rotate: true },
      calibration,
      expertBytes: (two! + four!) / 2,
    });
    const { units, slotsForAll } = slotGeometry(manifest);
    assert(units > 1 && slotsForAll < count, "narrow blocks share slots");
    let expected: unknown;
    await withPacked(folder, manifest, async (m) => {
      expected = await run(m, list);
      assertEquals(m.residency.stats().evictions, 0, "everything is resident");
      assert(m.residency.stats().slots <= slotsForAll);
    });
    for (
      const options of [
        { maxSlots: 2 },
        { maxSlots: 4 },
        { maxSlots: slotsForAll - 1 },
      ]
    ) {
      await withPacked(folder, manifest, async (m) => {
        assertEquals(await run(m, list), expected as never, JSON.stringify(options));
      }, options);
    }
  } finally {
    calibration.close();
    await Deno.remove(folder, { recursive: true });
  }
}

for (const quantizer of ["symmetric", "trellis"] as const) {
  Deno.test(
    `experts of 2 to 4 bits share arenas, ${quantizer}: the same bits from two slots to all`,
    () => mixedWidths(quantizer),
  );
}
