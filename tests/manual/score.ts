/**
 * Translations of the even dev rows by a packed model through the engine, for tests/manual/score.py to score:
 *
 *   deno run -A tests/manual/score.ts MODEL CORPUS OUT [ROWS] [THREADS]
 *
 * CORPUS holds dev.en-XX.tsv. Rows are numbered from 1; odd ones tuned the training, even ones report. Writes
 * OUT/PAIR.reference.txt and, greedy and by four beams, OUT/PAIR.1.txt and OUT/PAIR.4.txt, a line a sentence.
 */
import { startEngine } from "../../src/engine/client.ts";
import { devSet, translateAll } from "../quality/measure.ts";
import { findLanguage } from "../../src/text/languages.ts";

const MIB = 2 ** 20;
const BEAMS = [1, 4];

const [model, corpus, out, rows = "500", threads = navigator.hardwareConcurrency] = Deno.args;
if (out === undefined) throw new Error("usage: score.ts MODEL CORPUS OUT [ROWS] [THREADS]");
Deno.mkdirSync(out, { recursive: true });
const engine = startEngine({
  model: model!,
  device: "cpu",
  gpuMemory: 512 * MIB,
  hostMemory: 512 * MIB,
  maxBatchTokens: 512,
  maxQueue: 512,
  threads: Number(threads),
  maxSourceTokens: 256,
});
const { pairs } = await engine.ready;
const write = (name: string, lines: string[]) =>
  Deno.writeTextFileSync(`${out}/${name}`, lines.join("\n") + "\n");
for (const { source, target } of pairs) {
  const pair = [source, target].map((l) => findLanguage(l)!.code).join("-");
  const { sources, references } = devSet(corpus!, pair, Number(rows));
  write(`${pair}.reference.txt`, references);
  for (const beams of BEAMS) {
    const start = performance.now();
    write(`${pair}.${beams}.txt`, await translateAll(engine, sources, { source, target, beams }));
    const seconds = ((performance.now() - start) / 1000).toFixed(0);
    console.log(`${pair}, beams ${beams}: ${sources.length} rows in ${seconds} s`);
  }
}
await engine.close();
