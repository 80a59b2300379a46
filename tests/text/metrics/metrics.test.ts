/** BLEU and chrF++ against what sacrebleu answers, and the bounds of their intervals. */
import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import { BLEU } from "../../../src/text/metrics/bleu.ts";
import { interval, pairedP } from "../../../src/text/metrics/bootstrap.ts";
import { CHRF } from "../../../src/text/metrics/chrf.ts";
import { type Metric, sumCounts } from "../../../src/text/metrics/contract.ts";

interface Golden {
  signatures: [string, string];
  corpora: { pairs: [string, string][]; bleu: number; chrf: number }[];
}

const golden: Golden = JSON.parse(
  Deno.readTextFileSync(new URL("../../goldens/metrics.json", import.meta.url)),
);

function countsOf(metric: Metric, pairs: readonly [string, string][]): Float64Array[] {
  return pairs.map(([hypothesis, reference]) => metric.counts(hypothesis, reference));
}

function score(metric: Metric, pairs: readonly [string, string][]): number {
  return metric.score(sumCounts(countsOf(metric, pairs)));
}

Deno.test("BLEU and chrF++ are sacrebleu's on every corpus", () => {
  assert(golden.corpora.length > 20);
  for (const { pairs, bleu, chrf } of golden.corpora) {
    const name = JSON.stringify(pairs).slice(0, 200);
    assertAlmostEquals(score(BLEU, pairs), bleu, 1e-9, name);
    assertAlmostEquals(score(CHRF, pairs), chrf, 1e-9, name);
  }
});

Deno.test("signatures name sacrebleu's settings", () => {
  const withoutVersion = golden.signatures.map((s) => s.replace(/\|version:.*/, ""));
  assertEquals([BLEU.signature, CHRF.signature], withoutVersion);
});

Deno.test("an interval holds its score, is the same each time, and narrows with sentences", () => {
  const pairs = golden.corpora.at(-1)!.pairs;
  const few = interval(BLEU, countsOf(BLEU, pairs.slice(0, 10)));
  const all = interval(BLEU, countsOf(BLEU, [...pairs, ...pairs, ...pairs, ...pairs]));
  assert(few.low < few.score && few.score < few.high);
  assert(all.high - all.low < few.high - few.low);
  assertEquals(few, interval(BLEU, countsOf(BLEU, pairs.slice(0, 10))));
});

Deno.test("the paired test tells a bent system from its reference and none from itself", () => {
  const pairs = golden.corpora.at(-1)!.pairs;
  const bent = countsOf(BLEU, pairs);
  const perfect = countsOf(BLEU, pairs.map(([, r]) => [r, r]));
  assert(pairedP(BLEU, perfect, bent) < 0.01);
  assertEquals(pairedP(BLEU, bent, bent), 1);
});
