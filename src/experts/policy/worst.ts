/** The choice that every scoring policy makes. */
import type { ExpertKey } from "../../base/plan.ts";

/** The key with the highest score among those that may go; undefined if none may. */
export function worst(
  keys: Iterable<ExpertKey>,
  free: (key: ExpertKey) => boolean,
  score: (key: ExpertKey) => number,
): ExpertKey | undefined {
  let found: ExpertKey | undefined, highest = -Infinity;
  for (const key of keys) {
    if (!free(key)) continue;
    const s = score(key);
    if (s > highest) [found, highest] = [key, s];
  }
  return found;
}
