/** Corpus BLEU (Papineni et al. 2002) with mteval's 13a tokens, as sacrebleu computes it (Post 2018). */
import type { Metric } from "./contract.ts";
import { common, countNgrams, words } from "./ngrams.ts";

const ORDER = 4;

/** The rules of mteval-v13a for languages with spaces: punctuation stands alone, except inside numbers. */
const SPLITS: readonly [RegExp, string][] = [
  [/([{-~[-` -&(-+:-@/])/g, " $1 "],
  [/([^0-9])([.,])/gu, "$1 $2 "],
  [/([.,])([^0-9])/gu, " $1 $2"],
  [/([0-9])(-)/g, "$1 $2 "],
];
const ENTITIES: readonly [string, string][] = [
  ["&quot;", '"'],
  ["&amp;", "&"],
  ["&lt;", "<"],
  ["&gt;", ">"],
];

/** Words and punctuation of a line. */
export function tokenize13a(line: string): string[] {
  let text = line.replaceAll("<skipped>", "").replaceAll("-\n", "").replaceAll("\n", " ");
  if (text.includes("&")) {
    for (const [entity, character] of ENTITIES) text = text.replaceAll(entity, character);
  }
  text = ` ${text} `;
  for (const [pattern, replacement] of SPLITS) text = text.replace(pattern, replacement);
  return words(text);
}

/** Counts: hypothesis length, reference length, matches of 1 to 4 words, runs of 1 to 4 words. */
export const BLEU: Metric = {
  name: "BLEU",
  signature: "nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp",

  counts(hypothesis, reference) {
    const ours = tokenize13a(hypothesis), theirs = tokenize13a(reference);
    const counts = new Float64Array(2 + 2 * ORDER);
    counts[0] = ours.length;
    counts[1] = theirs.length;
    for (let n = 1; n <= ORDER; n++) {
      counts[1 + n] = common(countNgrams(ours, n, " "), countNgrams(theirs, n, " "));
      counts[1 + ORDER + n] = Math.max(0, ours.length - n + 1);
    }
    return counts;
  },

  /** Precisions without a match are 1/2, 1/4, ... of a match ("exp" smoothing). */
  score(counts) {
    const [ours, theirs] = [counts[0]!, counts[1]!];
    if (counts[2] === 0) return 0;
    let logs = 0, smoothed = 1;
    for (let n = 1; n <= ORDER; n++) {
      const matches = counts[1 + n]!, total = counts[1 + ORDER + n]!;
      if (total === 0) return 0;
      if (matches === 0) smoothed *= 2;
      logs += Math.log(matches === 0 ? 1 / (smoothed * total) : matches / total);
    }
    const brevity = ours < theirs ? Math.exp(1 - theirs / ours) : 1;
    return 100 * brevity * Math.exp(logs / ORDER);
  },
};
