/** Tokens of a model held against goldens whose gaps say where an implementation may part from them. */
import type { Job } from "../../src/engine/queue.ts";
import { Scheduler } from "../../src/engine/scheduler.ts";
import type { TestModel } from "./model.ts";

export interface ShippedSentence {
  text: string;
  source: number[];
  greedy: number[];
  greedy_gap: number;
  greedy_gap_step: number;
  largest: number;
  router_gap: number;
  router_largest: number;
  beam?: { tokens: number[]; score: number; gap: number };
}

export interface Shipped {
  max_new_tokens: number;
  beam: { num_beams: number; length_penalty: number; max_length: number };
  sentences: ShippedSentence[];
}

export interface Agreement {
  sentences: number;
  equal: number;
  /** Sentences that differ although every gap of theirs is above the tolerance: faults. */
  faults: string[];
  /** Sentences that differ where a gap entitled them to. */
  excused: string[];
}

/** A logit tolerance of 1e-4 of the largest, doubled: both sides of a comparison may be off by as much. */
const TOLERANCE = 2e-4;

/** Runs all sentences greedily and those with a beam golden by beam search, in one scheduler. */
export async function agreement(
  m: TestModel,
  golden: Shipped,
): Promise<{ greedy: Agreement; beam: Agreement }> {
  const scheduler = new Scheduler(m.model, m.spec, { maxRows: m.maxRows, maxQueue: 1000 });
  const job = (s: ShippedSentence, beams: number, maxTokens: number): Job => ({
    source: Int32Array.from(s.source),
    prefix: s.greedy.slice(0, 2),
    forced: 1,
    beams,
    lengthPenalty: beams === 1 ? 1 : golden.beam.length_penalty,
    maxTokens,
  });
  const routed = (s: ShippedSentence) => s.router_gap < TOLERANCE * s.router_largest;
  const compare = async (
    list: readonly ShippedSentence[],
    made: (s: ShippedSentence) => { job: Job; expected: number[]; gap: number },
  ): Promise<Agreement> => {
    const asked = list.map(made);
    const found = await scheduler.run(asked.map((a) => a.job));
    const result: Agreement = { sentences: list.length, equal: 0, faults: [], excused: [] };
    for (const [i, s] of list.entries()) {
      const tokens = [m.spec.tokens.decoderStart, ...found[i]![0]!.tokens];
      if (tokens.join() === asked[i]!.expected.join()) result.equal++;
      else if (routed(s) || asked[i]!.gap < TOLERANCE * s.largest) result.excused.push(s.text);
      else {result.faults.push(
          `${s.text}: ${tokens} instead of ${asked[i]!.expected} at a gap of ${asked[i]!.gap}`,
        );}
    }
    return result;
  };
  return {
    greedy: await compare(golden.sentences, (s) => (
      { job: job(s, 1, golden.max_new_tokens), expected: s.greedy, gap: s.greedy_gap }
    )),
    beam: await compare(golden.sentences.filter((s) => s.beam !== undefined), (s) => ({
      job: job(s, golden.beam.num_beams, golden.beam.max_length - 1),
      expected: s.beam!.tokens,
      gap: s.beam!.gap,
    })),
  };
}
