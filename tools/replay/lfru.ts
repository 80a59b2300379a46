/** Frequency over recency: the expert whose uses, divided by the time since the last one, are fewest goes. */
import type { Policy } from "../../src/experts/contract.ts";
import { counted } from "./counted.ts";

/** LFRU as expert caches use it: one number of both, no parameter. */
export function lfru(): Policy {
  return counted("lfru", ({ count, last, now }) => (now + 1 - last) / count);
}
