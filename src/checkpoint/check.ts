/** A checkpoint held against its architecture's plan. */
import { MoqeError } from "../base/errors.ts";
import type { ModelPlan } from "../base/plan.ts";
import type { TensorSource } from "./contract.ts";
import { quote } from "./header_text.ts";

const SHOWN = 2000;

/**
 * Throws one MoqeError `bad_input` that lists every missing, surplus and misshapen tensor (the first 2,000).
 *
 * @param names of all tensors, where `source` knows the shapes of some alone
 */
export function checkAgainstPlan(
  source: Pick<TensorSource, "origin" | "tensors">,
  plan: ModelPlan,
  names: { has(name: string): boolean; keys(): Iterable<string> } = source.tensors,
): void {
  const faults: string[] = [];
  const wanted = new Set<string>();
  for (const { name, shape } of plannedTensors(plan)) {
    wanted.add(name);
    const found = source.tensors.get(name);
    if (!names.has(name)) faults.push(`missing: ${name} [${shape.join(", ")}]`);
    else if (found === undefined) continue;
    else if (found.shape.length !== shape.length || found.shape.some((d, i) => d !== shape[i])) {
      faults.push(
        `misshapen: ${name} is [${found.shape.join(", ")}], should be [${shape.join(", ")}]`,
      );
    }
  }
  for (const name of names.keys()) {
    if (!wanted.has(name) && !plan.ignored.has(name)) faults.push(`surplus: ${quote(name)}`);
  }
  if (faults.length === 0) return;
  const shown = faults.slice(0, SHOWN);
  if (shown.length < faults.length) shown.push(`... and ${faults.length - shown.length} more`);
  throw new MoqeError("bad_input", {
    action: `use ${source.origin} as ${plan.modelType}`,
    rule: `${faults.length} of its tensors are not as config.json says:\n  ${shown.join("\n  ")}\n`,
    remedy: "check that config.json belongs to these weights",
  });
}

/** Weights compared at once: 4 MiB of each. */
const COMPARED = 2 ** 20;

/**
 * Throws MoqeError `unsupported` where a tensor that the plan leaves out as a copy is none: its weights would be lost
 * without a word.
 */
export async function checkCopies(
  source: TensorSource,
  plan: ModelPlan,
  signal?: AbortSignal,
): Promise<void> {
  for (const [name, of] of plan.copies ?? []) {
    const copy = source.tensors.get(name)?.shape, original = source.tensors.get(of)!.shape;
    if (copy === undefined) continue;
    const [rows, cols] = original as [number, number];
    let same = copy.join() === original.join();
    const step = Math.max(1, Math.floor(COMPARED / cols));
    for (let at = 0; same && at < rows; at += step) {
      const count = Math.min(step, rows - at);
      const ours = (await source.readRows(of, at, count, { signal })).slice();
      const theirs = await source.readRows(name, at, count, { signal });
      same = ours.every((w, i) => w === theirs[i]);
    }
    if (same) continue;
    throw new MoqeError("unsupported", {
      action: `use ${source.origin} as ${plan.modelType}`,
      rule:
        `${name} must equal ${of}: models with an embedding of its own for each stack do not run here`,
      remedy: "tie them (tie_word_embeddings) and train on",
    });
  }
}

/** Every tensor that a plan asks of a checkpoint, in the plan's order. */
export function* plannedTensors(
  plan: ModelPlan,
): Generator<{ name: string; shape: readonly number[] }> {
  yield* plan.tensors;
  for (const layer of plan.expertLayers) {
    for (let e = 0; e < layer.count; e++) {
      for (const p of layer.projections) {
        const names = layer.tensorNames(e, p.name);
        yield { name: names.weight, shape: [p.rows, p.cols] };
        if (p.bias) yield { name: names.bias, shape: [p.rows] };
      }
    }
  }
}
