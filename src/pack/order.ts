/** In which order experts' blocks lie in their objects. */
import { MoqeError } from "../base/errors.ts";
import type { Stack } from "../base/plan.ts";

/** By sparse layer: its experts in the order in which their blocks lie. */
export type BlockOrder = readonly (readonly number[])[];

/** Throws MoqeError `bad_input` for an order that does not name every expert of every layer once. */
export function checkOrder(
  order: BlockOrder,
  layers: readonly { stack: Stack; layer: number; count: number }[],
): void {
  const fail = (rule: string, observed: string) => {
    throw new MoqeError("bad_input", { action: "order experts in objects", rule, observed });
  };
  if (order.length !== layers.length) {
    fail(`the model has ${layers.length} sparse layers`, `an order of ${order.length}`);
  }
  for (const [l, { stack, layer, count }] of layers.entries()) {
    const named = new Set(order[l]!.filter((e) => Number.isInteger(e) && e >= 0 && e < count));
    if (named.size === count && order[l]!.length === count) continue;
    fail(`${stack} layer ${layer} must have each of its ${count} experts once`, String(order[l]));
  }
}
