/** Decoder-only families against transformers: logits and tokens, prefilled whole and in chunks, on both backends. */
import { assert, assertEquals } from "@std/assert";
import { decodeRows } from "../../src/engine/batch.ts";
import { PagePool } from "../../src/engine/pages.ts";
import { Scheduler } from "../../src/engine/scheduler.ts";
import { Sequence } from "../../src/engine/sequence.ts";
import { decoderNames, DECODERS, readDecoderGolden, withDecoder } from "../support/decoders.ts";
import { difference, goldenValues } from "../support/golden.ts";
import type { TestModel } from "../support/model.ts";

/** Checkpoints that run on the WebGPU kernels, too: one with each kind of attention, router and gate. */
const ON_GPU = [
  "qwen3_moe/baseline",
  "qwen3_moe/sliding",
  "olmoe/clip",
  "mixtral/baseline",
  "granitemoe/baseline",
  "gpt_oss/baseline",
];

/** Logits [tokens, vocab] of all positions of a prompt: `chunk` tokens a pass but for the last, which is a step. */
async function allLogits(m: TestModel, tokens: readonly number[]): Promise<Float32Array> {
  const { vocab } = m.spec, pool = new PagePool(m.model.pages);
  const job = { prefix: tokens, beams: 1, lengthPenalty: 1, maxTokens: 1 };
  const copyPage = (a: number, b: number) => m.model.copyPage(a, b);
  const sequence = new Sequence(job, { pool, copyPage, eos: [] });
  const out = m.backend.alloc("logits", tokens.length * vocab * 4, "staging");
  // Without a prefill before it, a step runs all of the prefix.
  const rows = sequence.rows();
  const hidden = await m.model.decodeHidden(
    decodeRows([{ sequence, rows }], m.spec.embedding),
  );
  const view = { buffer: out, offset: 0, rows: tokens.length, cols: vocab };
  m.model.logits(hidden, view);
  const logits = (await m.readTensor(view)).slice();
  m.backend.free(out);
  sequence.close();
  return logits;
}

/** Logits of the last position, its prefix prefilled in chunks. */
async function lastLogits(m: TestModel, tokens: readonly number[], chunk: number) {
  const { vocab } = m.spec, pool = new PagePool(m.model.pages);
  const job = { prefix: tokens, beams: 1, lengthPenalty: 1, maxTokens: 1 };
  const copyPage = (a: number, b: number) => m.model.copyPage(a, b);
  const sequence = new Sequence(job, { pool, copyPage, eos: [] });
  const rowsOf = (rows: ReturnType<Sequence["rows"]>) =>
    decodeRows([{ sequence, rows }], m.spec.embedding);
  while (sequence.prefillTokens > 0) {
    const count = Math.min(chunk, sequence.prefillTokens);
    await m.model.prefill(rowsOf(sequence.prefillRows(count)));
    sequence.prefilled();
  }
  const rows = sequence.rows(), out = m.backend.alloc("logits", 2 * vocab * 4, "staging");
  const hidden = await m.model.decodeHidden(rowsOf(rows));
  const view = { buffer: out, offset: 0, rows: rows.length, cols: vocab };
  m.model.logits(hidden, view);
  const logits = (await m.readTensor(view)).slice(-vocab);
  m.backend.free(out);
  sequence.close();
  return logits;
}

function assertNear(actual: Float32Array, expected: Float32Array, tolerance: number, what: string) {
  const d = difference(actual, expected);
  assert(d.most <= tolerance * d.largest, `${what}: off by ${d.most} of ${d.largest}`);
}

for (const family of DECODERS) {
  for (const name of decoderNames(family)) {
    const golden = readDecoderGolden(family, name), id = `${family}/${name}`;
    const devices = ON_GPU.includes(id) ? ["cpu", "webgpu"] as const : ["cpu"] as const;
    for (const device of devices) {
      Deno.test(`${device}, ${id}: logits within tolerance of transformers, whole and in chunks`, async () => {
        await withDecoder(family, name, async (m) => {
          for (const [i, prompt] of golden.prompts.entries()) {
            const last = goldenValues(prompt.last);
            if (prompt.logits !== undefined) {
              const all = await allLogits(m, prompt.tokens);
              assertNear(all, goldenValues(prompt.logits), golden.tolerance, `prompt ${i}`);
            }
            for (const chunk of [5, 16, 100]) {
              const found = await lastLogits(m, prompt.tokens, chunk);
              assertNear(found, last, golden.tolerance, `prompt ${i} in chunks of ${chunk}`);
            }
          }
        }, { device, kvBits: 32 });
      });

      Deno.test(`${device}, ${id}: greedy tokens are transformers', in one batch, with few and with many slots`, async () => {
        for (const maxSlots of [undefined, 0]) {
          await withDecoder(family, name, async (m) => {
            const scheduler = new Scheduler(m.model, m.spec, { maxRows: m.maxRows, maxQueue: 100 });
            const jobs = golden.prompts.map((p) => ({
              prefix: p.tokens,
              beams: 1,
              lengthPenalty: 1,
              maxTokens: p.stopped ?? golden.new_tokens,
            }));
            const found = await scheduler.run(jobs);
            golden.prompts.forEach((p, i) => {
              const expected = p.greedy.slice(0, p.stopped ?? golden.new_tokens);
              assertEquals(found[i]![0]!.tokens, expected, `prompt ${i}`);
            });
          }, { device, kvBits: 32, slots: maxSlots });
        }
      });
    }
  }
}
