/** What a language can expect of a number of slots, from its profile alone: before anything is downloaded. */
import type { PolicyLayer } from "./contract.ts";
import type { Prior } from "./policy/usage.ts";
import { firstKeys } from "./trace.ts";

export interface OutlookOptions {
  readonly layers: readonly PolicyLayer[];
  readonly prior: Prior;
  readonly source: string;
  readonly target: string;
  readonly slots: number;
  /** Decoder steps of a sentence. */
  readonly steps: number;
}

export interface Outlook {
  /** Share of requests that hit once the experts used most are resident; the best that no change would do. */
  readonly hitRate: number;
  /** Distinct experts that the first sentence of a cold start reads. */
  readonly coldExperts: number;
}

/** Undefined where one of the languages has no profile. */
export function outlook(options: OutlookOptions): Outlook | undefined {
  const { layers, prior, source, target, slots, steps } = options;
  const encoder = prior("encoder", source), decoder = prior("decoder", target);
  if (encoder === undefined || decoder === undefined) return undefined;
  const first = firstKeys(layers);
  const rates: number[] = [];
  let coldExperts = 0;
  layers.forEach((layer, l) => {
    const [chances, visits] = layer.stack === "encoder" ? [encoder, 1] : [decoder, steps];
    for (let key = first[l]!; key < first[l + 1]!; key++) {
      rates.push(chances[key]! * visits);
      coldExperts += 1 - (1 - chances[key]!) ** visits;
    }
  });
  rates.sort((a, b) => b - a);
  const sum = (of: readonly number[]) => of.reduce((a, b) => a + b, 0);
  return { hitRate: sum(rates.slice(0, slots)) / Math.max(1e-9, sum(rates)), coldExperts };
}
