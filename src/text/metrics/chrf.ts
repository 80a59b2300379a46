/** chrF++ (Popović 2017): F2 over runs of 1 to 6 characters and 1 to 2 words, as sacrebleu computes it. */
import type { Metric } from "./contract.ts";
import { common, countNgrams, WHITESPACE, words } from "./ngrams.ts";

const CHARACTERS = 6, WORDS = 2, BETA = 2;
const ORDERS = CHARACTERS + WORDS;
const PUNCTUATION = new Set("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~");

/** Words with one leading or trailing punctuation mark apart. */
function splitWords(line: string): string[] {
  return words(line).flatMap((word) => {
    const characters = [...word];
    if (characters.length === 1) return [word];
    const first = characters[0]!, last = characters.at(-1)!;
    if (PUNCTUATION.has(last)) return [characters.slice(0, -1).join(""), last];
    if (PUNCTUATION.has(first)) return [first, characters.slice(1).join("")];
    return [word];
  });
}

/** Runs of each order: six of characters without spaces, two of words. */
function runs(line: string): Map<string, number>[] {
  const characters = [...line.split(WHITESPACE).join("")], split = splitWords(line);
  return Array.from(
    { length: ORDERS },
    (_, i) =>
      i < CHARACTERS
        ? countNgrams(characters, i + 1, "")
        : countNgrams(split, i + 1 - CHARACTERS, " "),
  );
}

function total(counts: Map<string, number>): number {
  let sum = 0;
  for (const n of counts.values()) sum += n;
  return sum;
}

/** Counts: for each order, runs of the hypothesis, of the reference, and in common. */
export const CHRF: Metric = {
  name: "chrF++",
  signature: "nrefs:1|case:mixed|eff:yes|nc:6|nw:2|space:no",

  counts(hypothesis, reference) {
    const ours = runs(hypothesis), theirs = runs(reference);
    const counts = new Float64Array(3 * ORDERS);
    for (let i = 0; i < ORDERS; i++) {
      // A reference too short for an order says nothing of it.
      counts[3 * i] = theirs[i]!.size > 0 ? total(ours[i]!) : 0;
      counts[3 * i + 1] = total(theirs[i]!);
      counts[3 * i + 2] = common(ours[i]!, theirs[i]!);
    }
    return counts;
  },

  score(counts) {
    let precision = 0, recall = 0, orders = 0;
    for (let i = 0; i < ORDERS; i++) {
      const [ours, theirs, both] = [counts[3 * i]!, counts[3 * i + 1]!, counts[3 * i + 2]!];
      if (ours === 0 || theirs === 0) continue;
      precision += both / ours;
      recall += both / theirs;
      orders++;
    }
    if (orders === 0 || precision + recall === 0) return 0;
    precision /= orders;
    recall /= orders;
    return 100 * (1 + BETA ** 2) * precision * recall / (BETA ** 2 * precision + recall);
  },
};
