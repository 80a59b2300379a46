/** Exactly the models: encoder output, logits and tokens of tiny checkpoints of every architecture against transformers. */
import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import { encodeRows } from "../../src/engine/batch.ts";
import { decodeRows } from "../../src/engine/batch.ts";
import { PagePool } from "../../src/engine/pages.ts";
import { Scheduler } from "../../src/engine/scheduler.ts";
import { Sequence } from "../../src/engine/sequence.ts";
import {
  ARCHITECTURES,
  difference,
  goldenFolder,
  goldenNames,
  type GoldenSentence,
  goldenValues,
  prefixOf,
  readGolden,
} from "../support/golden.ts";
import { type TestModel, withModel } from "../support/model.ts";
import { testNeeding } from "../support/needs.ts";

/**
 * How far logits may be off where keys and values are rounded to f16 (2^-11), as a share of the largest one. Switch
 * Transformers scale no scores: what is rounded counts more.
 */
const halfTolerance = (name: string) => name.includes("switch") ? 1e-2 : 2e-3;

/** Everything unquantized: what is left is the arithmetic. */
const LOSSLESS = { experts: { bits: 16 }, trunk: { bits: 16 }, embedding: { bits: 16 } } as const;

const CHECKPOINTS = ARCHITECTURES.flatMap((a) =>
  goldenNames(a).map((n) => ({
    name: `${a} ${n}`,
    folder: goldenFolder(n, a),
    golden: readGolden(n, a),
  }))
);

/** What a GPU runs, too: one of each kind of block. Software GPUs are slow. */
const ON_GPU = [
  "nllb_moe baseline",
  "nllb_moe router_bias",
  "nllb_moe bases",
  "switch_transformers baseline",
];

const RUNS = CHECKPOINTS.flatMap((c) => [
  { ...c, device: "cpu" as const },
  ...(ON_GPU.includes(c.name)
    ? [{ ...c, name: `webgpu, ${c.name}`, device: "webgpu" as const }]
    : []),
]);

for (const { name, folder, golden, device } of RUNS) {
  const test = testNeeding(...device === "webgpu" ? ["vulkan" as const] : []);
  for (const kvBits of [32, 16] as const) {
    const what = `encoder output and teacher-forced logits are within tolerance of transformers`;
    test(`${name}, f${kvBits} pages: ${what}`, async () => {
      const tolerance = kvBits === 32 ? golden.tolerance : halfTolerance(name);
      await withModel(folder, LOSSLESS, async (m) => {
        for (const [i, sentence] of golden.sentences.entries()) {
          const { encoded, logits } = await teacherForced(m, sentence);
          if (sentence.encoded !== undefined) {
            const d = difference(encoded, goldenValues(sentence.encoded));
            assert(
              d.most <= golden.tolerance * d.largest,
              `encoder of sentence ${i}: off by ${d.most} of ${d.largest}`,
            );
          }
          const d = difference(logits, goldenValues(sentence.logits));
          assert(
            d.most <= tolerance * d.largest,
            `logits of sentence ${i}: off by ${d.most} of ${d.largest}`,
          );
        }
      }, { device, kvBits });
    });
  }

  test(`${name}: greedy and beam search give transformers' tokens and scores`, async () => {
    await withModel(folder, LOSSLESS, async (m) => {
      const scheduler = new Scheduler(m.model, m.spec, { maxRows: m.maxRows, maxQueue: 1000 });
      const job = (
        s: GoldenSentence,
        beams: number,
        lengthPenalty: number,
        earlyStopping = false,
      ) => ({
        source: Int32Array.from(s.source),
        ...prefixOf(s),
        beams,
        lengthPenalty,
        maxTokens: golden.max_length - 1,
        earlyStopping,
      });
      // All sentences of the checkpoint in one batch, greedy and beams together: as in service.
      const runs = golden.sentences.flatMap((s) => [
        {
          sentence: s,
          job: job(s, 1, 1),
          tokens: s.greedy,
          score: undefined as number | undefined,
        },
        ...s.beams.map((b) => ({
          sentence: s,
          job: job(s, 4, b.length_penalty, b.early_stopping),
          tokens: b.tokens,
          score: b.score as number | undefined,
        })),
      ]);
      const found = await scheduler.run(runs.map((r) => r.job));
      for (const [i, run] of runs.entries()) {
        const best = found[i]![0]!;
        assertEquals(
          [m.spec.tokens.decoderStart, ...best.tokens],
          run.tokens,
          `run ${i}, ${run.job.beams} beams`,
        );
        if (run.score !== undefined) {
          assertAlmostEquals(best.score, run.score, 1e-3 * Math.abs(run.score));
        }
      }
    }, { device, kvBits: 32 });
  });
}

/** One sentence through encoder and decoder, the golden's own prefix fed token by token. */
async function teacherForced(
  m: TestModel,
  s: GoldenSentence,
): Promise<{ encoded: Float32Array; logits: Float32Array }> {
  const pool = new PagePool(m.model.pages);
  const job = {
    source: Int32Array.from(s.source),
    ...prefixOf(s),
    beams: 1,
    lengthPenalty: 1,
    maxTokens: s.decoder_input.length + 1,
  };
  const copyPage = (a: number, b: number) => m.model.copyPage(a, b);
  const sequence = new Sequence(job, { pool, copyPage, eos: [] });
  const rows = encodeRows([Int32Array.from(s.source)], m.spec.embedding);
  const places = Int32Array.from(s.source, (_, i) => sequence.crossPlace(i));
  const encodedTensor = await m.model.encode(rows, places);
  const encoded = await m.readTensor(encodedTensor);
  const vocab = m.spec.vocab;
  const logits = new Float32Array(s.decoder_input.length * vocab);
  const out = m.backend.alloc("logits", 2 * vocab * 4, "staging");
  let at = 0;
  while (at < s.decoder_input.length) {
    const step = sequence.rows();
    const hidden = await m.model.decodeHidden(
      decodeRows([{ sequence, rows: step }], m.spec.embedding),
    );
    const view = { buffer: out, offset: 0, rows: step.length, cols: vocab };
    m.model.logits(hidden, view);
    logits.set(await m.readTensor(view), at * vocab);
    at += step.length;
    // The continuation that the golden prescribes, whatever the model would choose.
    sequence.advance([{ ids: [s.decoder_input[at] ?? 0], logProbs: [0] }]);
  }
  m.backend.free(out);
  return { encoded, logits };
}
