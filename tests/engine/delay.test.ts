/** A long prompt beside others: between two of its chunks every running sequence takes a step. Passes are counted, not timed. */
import { assert, assertEquals } from "@std/assert";
import { Scheduler } from "../../src/engine/scheduler.ts";
import { writeTinyChat } from "../support/chat_model.ts";
import { packFolder, type TestModel, type TestModelOptions, withPacked } from "../support/model.ts";
import type { Manifest } from "../../src/store/manifest.ts";

const LONG = 2000;
const WIDTHS = { experts: { bits: 2 }, trunk: { bits: 8 }, embedding: { bits: 8 } } as const;

let folder: string, manifest: Manifest;
Deno.test.beforeAll(async () => {
  folder = await Deno.makeTempDir({ prefix: "moqe-test-" });
  await writeTinyChat(`${folder}/checkpoint`);
  manifest = await packFolder(`${folder}/checkpoint`, `${folder}/model`, WIDTHS);
});
Deno.test.afterAll(() => Deno.remove(folder, { recursive: true }));

/** Tells of every chunk before it runs. */
function onChunks(m: TestModel, begins: (rows: number) => void): void {
  const { model } = m, prefill = model.prefill.bind(model);
  model.prefill = (rows, wait) => {
    begins(rows.ids.length);
    return prefill(rows, wait);
  };
}

const prompt = (length: number, seed: number) =>
  Array.from({ length }, (_, i) => (seed + i * i * 7 + i * 31) % 256);
const job = (length: number, maxTokens: number, seed = 3) => ({
  prefix: prompt(length, seed),
  beams: 1,
  lengthPenalty: 1,
  maxTokens,
});

/** Without end tokens an answer has all the tokens that it may have. */
const schedulerOf = ({ model, spec }: TestModel, maxRows: number) =>
  new Scheduler(model, { ...spec, tokens: { ...spec.tokens, eos: [] } }, { maxRows, maxQueue: 8 });

const withModel = (use: (m: TestModel) => Promise<void>, options: TestModelOptions = {}) =>
  withPacked(`${folder}/model`, manifest, use, {
    maxContextTokens: 4096,
    maxBatchTokens: 512,
    ...options,
  });

for (const maxRows of [16, 64, 512]) {
  for (const maxSlots of [undefined, 3]) {
    Deno.test(`chunks of at most ${maxRows} rows, ${maxSlots ?? "all"} slots: a running answer gets a token between any two`, async () => {
      await withModel(async (m) => {
        const running = job(2, 400), long = job(LONG, 4, 9);
        const alone = [];
        for (const one of [running, long]) alone.push(...await schedulerOf(m, maxRows).run([one]));
        const scheduler = schedulerOf(m, maxRows);
        let told = 0;
        const chunks: { rows: number; told: number }[] = [];
        onChunks(m, (rows) => chunks.push({ rows, told }));
        const joined = Promise.withResolvers<Promise<unknown>>();
        const answer = scheduler.run([running], {
          onTokens({ tokens }) {
            told = tokens.length;
            if (told === 5) joined.resolve(scheduler.run([long]));
          },
        });
        const other = await (await joined.promise);
        assertEquals([...await answer, ...other as typeof alone], alone);
        assertEquals(chunks.reduce((n, c) => n + c.rows, 0), LONG - 1);
        assert(chunks.every((c) => c.rows <= maxRows));
        assert(chunks.length >= (LONG - 1) / maxRows);
        for (const [i, chunk] of chunks.entries()) {
          // The answer may end before the last chunk: then nobody waits.
          const before = i === 0 ? chunk.told - 1 : chunks[i - 1]!.told;
          if (told > chunk.told) assert(chunk.told > before, `no step before chunk ${i}`);
        }
        assert(chunks[0]!.told < 10 && chunks.at(-1)!.told < 400, "it ran beside the answer");
      }, { maxSlots });
    });
  }
}

Deno.test("a request that comes while a long prompt runs alone waits for one chunk, not for the prompt", async () => {
  for (const [length, most] of [[2, 1], [3, 2], [12, 2]] as const) {
    await withModel(async (m) => {
      const scheduler = schedulerOf(m, 64), joined = Promise.withResolvers<Promise<unknown>>();
      let chunks = 0, arrivedAt = 0, firstAt = 0;
      onChunks(m, () => {
        chunks++;
        if (chunks !== 3) return;
        arrivedAt = chunks;
        const onTokens = () => firstAt ||= chunks;
        joined.resolve(scheduler.run([job(length, 3)], { onTokens }));
      });
      const long = scheduler.run([job(LONG, 2, 9)]);
      await (await joined.promise);
      assert(
        firstAt - arrivedAt <= most,
        `${firstAt - arrivedAt} chunks began before its first token`,
      );
      await long;
      assert(chunks > 20);
    });
  }
});
