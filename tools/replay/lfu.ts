/** Least frequently used, counted over everything that was ever asked for; the longer unused goes first among equals. */
import type { Policy } from "../../src/experts/contract.ts";
import { counted } from "./counted.ts";

/** Counts outlive eviction, as the strongest form of LFU has it. */
export function lfu(): Policy {
  return counted("lfu", ({ count, last, now }) => -count - last / (now + 1));
}
