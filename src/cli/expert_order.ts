/** The order of experts that a routing trace asks for, checked against the model it is for. */
import { MoqeError } from "../base/errors.ts";
import { orderExperts } from "../experts/order.ts";
import { readTrace } from "../experts/trace.ts";
import type { BlockOrder } from "../pack/order.ts";

/** Throws MoqeError `bad_input` for a trace of a model of another shape, or of no visit of a layer. */
export async function orderFrom(
  path: string,
  layers: readonly { stack: string; count: number }[],
): Promise<BlockOrder> {
  const trace = await readTrace(path);
  const shape = (of: typeof layers) =>
    (["encoder", "decoder"] as const).map((stack) => {
      const counts = of.filter((l) => l.stack === stack).map((l) => l.count);
      return counts.length === 0 ? `no ${stack} layer` : `${stack} layers of ${counts.join(" ")}`;
    }).join(", ");
  const wanted = shape(layers), found = shape(trace.layers);
  const seen = new Set(trace.visits.map((v) => v.layer));
  if (wanted === found && seen.size === layers.length) return orderExperts(trace);
  throw new MoqeError("bad_input", {
    action: `order experts by ${path}`,
    rule: wanted === found
      ? "it must have visits of every sparse layer"
      : `the model's experts are ${wanted}`,
    observed: wanted === found
      ? `visits of ${seen.size} of ${layers.length}`
      : `a trace of ${found}`,
    remedy: "record one with this model: moqe profile TEXTS --model MODEL --trace FILE",
  });
}
