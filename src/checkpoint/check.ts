/** A checkpoint held against its architecture's plan, before any of it is converted. */
import { MoqeError } from "../base/errors.ts";
import { isIgnored, type ModelPlan } from "../base/plan.ts";
import type { TensorInfo, TensorSource } from "./contract.ts";
import { quote } from "./header_text.ts";
import { type StoredTensor, storedTensors, WEIGHT_TYPES } from "./stored.ts";

const SHOWN = 2000;

/** Tensors of a checkpoint that a plan leaves out on purpose, by the start of their names. */
export interface LeftOut {
  readonly prefix: string;
  readonly reason: string;
  readonly tensors: number;
}

/**
 * Finds for every tensor of a checkpoint why it is there: planned, a part of what is planned, ignored or left out.
 *
 * @param names of all tensors, where `source` knows the shapes of some alone
 * @returns what is left out, those of the plan's prefixes that tensors have
 * @throws one MoqeError `bad_input` that lists every tensor (the first 2,000) that is missing, surplus, misshapen or of a
 * type that is no weight's
 */
export function checkAgainstPlan(
  source: Pick<TensorSource, "origin" | "tensors">,
  plan: ModelPlan,
  names: { has(name: string): boolean; keys(): Iterable<string> } = source.tensors,
): LeftOut[] {
  const wanted = storedTensors(plan), faults: string[] = [];
  for (const [name, due] of wanted) {
    const found = source.tensors.get(name);
    if (!names.has(name)) faults.push(`missing: ${name} [${due.shape.join(", ")}]`);
    else if (found !== undefined) faults.push(...faultsOf(found, due));
  }
  const left = (plan.leftOut ?? []).map((l) => ({ ...l, tensors: 0 }));
  for (const name of names.keys()) {
    if (wanted.has(name) || isIgnored(plan, name)) continue;
    const of = left.find((l) => name.startsWith(l.prefix));
    if (of !== undefined) of.tensors++;
    else faults.push(`surplus: ${quote(name)}`);
  }
  if (faults.length === 0) return left.filter((l) => l.tensors > 0);
  const shown = faults.slice(0, SHOWN);
  if (shown.length < faults.length) shown.push(`... and ${faults.length - shown.length} more`);
  throw new MoqeError("bad_input", {
    action: `use ${source.origin} as ${plan.modelType}`,
    rule: `${faults.length} of its tensors are not as config.json says:\n  ${shown.join("\n  ")}\n`,
    remedy: faults.some((f) => f.startsWith("mistyped"))
      ? "name the checkpoint from which this one was quantized, or save it in one of these types"
      : "check that config.json belongs to these weights",
  });
}

/** What is wrong with a tensor that is there. */
function faultsOf({ name, shape, dtype }: TensorInfo, due: StoredTensor): string[] {
  const faults: string[] = [];
  if (shape.join() !== due.shape.join()) {
    faults.push(`misshapen: ${name} is [${shape.join(", ")}], should be [${due.shape.join(", ")}]`);
  }
  if (!due.types.includes(dtype)) {
    const what = due.types === WEIGHT_TYPES ? "weights are" : "MXFP4 is";
    faults.push(`mistyped: ${name} is ${dtype}, ${what} ${due.types.join(", ")}`);
  }
  return faults;
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
