/** Rotary positions of a configuration: an angle a position for each pair of channels, in f32 as transformers has it. */
import { z } from "zod";
import type { RotarySpec } from "../nn/spec.ts";

const scaling = z.looseObject({
  rope_type: z.string().optional(),
  type: z.string().optional(),
  rope_theta: z.number().positive().optional(),
  factor: z.number().positive().optional(),
  attention_factor: z.number().positive().nullish(),
  mscale: z.number().nullish(),
  mscale_all_dim: z.number().nullish(),
  beta_fast: z.number().positive().nullish(),
  beta_slow: z.number().positive().nullish(),
  truncate: z.boolean().default(true),
  low_freq_factor: z.number().positive().optional(),
  high_freq_factor: z.number().positive().optional(),
  original_max_position_embeddings: z.number().positive().nullish(),
});
type Scaling = z.infer<typeof scaling>;

/** What configurations say of rotary positions; `rope_parameters` is how newer ones write the other two. */
export const rotaryFields = {
  max_position_embeddings: z.number().int().positive().max(2 ** 24),
  rope_theta: z.number().positive().default(10000),
  rope_scaling: scaling.nullish(),
  rope_parameters: scaling.nullish(),
  partial_rotary_factor: z.number().positive().max(1).default(1),
};
const rotaryConfig = z.object(rotaryFields);
type RotaryConfig = z.infer<typeof rotaryConfig>;

const f = Math.fround;
const KINDS = ["default", "linear", "llama3", "yarn"] as const;

function kindOf({ rope_type, type }: Scaling): string {
  return rope_type ?? type ?? "default";
}

/** What cannot be run of a configuration's rotary positions, in words. */
export function rotaryFaults(c: RotaryConfig, headDim: number): string[] {
  const of = c.rope_parameters ?? c.rope_scaling, turned = turnedChannels(c, headDim);
  const faults = turned >= 2 && turned % 2 === 0
    ? []
    : [`rotary positions turn pairs of channels, not ${turned} of a head`];
  if (of === null || of === undefined) return faults;
  const kind = kindOf(of),
    need = (name: keyof Scaling) =>
      of[name] === undefined || of[name] === null ? [`rope_scaling of ${kind} has no ${name}`] : [];
  if (!KINDS.includes(kind as typeof KINDS[number])) {
    return [...faults, `rope_type is ${JSON.stringify(kind)}, only ${KINDS.join(", ")} are run`];
  }
  if (kind === "default") return faults;
  if (kind !== "llama3") return [...faults, ...need("factor")];
  const names = [
    "factor",
    "low_freq_factor",
    "high_freq_factor",
    "original_max_position_embeddings",
  ] as const;
  return [...faults, ...names.flatMap(need)];
}

function turnedChannels(c: RotaryConfig, headDim: number): number {
  return Math.trunc(headDim * c.partial_rotary_factor);
}

/** The rotary positions of a configuration without faults. */
export function rotaryOf(
  c: RotaryConfig,
  headDim: number,
  pairs: RotarySpec["pairs"] = "halves",
): RotarySpec {
  const of = c.rope_parameters ?? c.rope_scaling ?? scaling.parse({});
  const dim = turnedChannels(c, headDim), theta = of.rope_theta ?? c.rope_theta;
  const wavelengths = Array.from(
    { length: dim / 2 },
    (_, i) => f(f(theta) ** f(f(2 * i) / f(dim))),
  );
  const plain = wavelengths.map((w) => f(1 / w));
  const made = { kind: "rotary", pairs, magnitude: 1 } as const;
  const factor = of.factor ?? 1;
  switch (kindOf(of)) {
    case "linear":
      return { ...made, frequencies: plain.map((v) => f(v / f(factor))) };
    case "llama3":
      return { ...made, frequencies: plain.map((v) => llama3(v, of)) };
    case "yarn":
      return {
        ...made,
        frequencies: yarn(c, of, { wavelengths, dim, theta }),
        magnitude: yarnMagnitude(of),
      };
    default:
      return { ...made, frequencies: plain };
  }
}

/** Long waves are divided by the factor, short ones stay, those between are mixed (Llama 3.1). */
function llama3(frequency: number, of: Scaling): number {
  const { factor, low_freq_factor: low, high_freq_factor: high } = of as Required<Scaling>;
  const original = of.original_max_position_embeddings!;
  const wave = f(f(2 * Math.PI) / frequency);
  if (wave < original / high!) return frequency;
  const slow = f(frequency / factor!);
  if (wave > original / low!) return slow;
  const smooth = f(f(f(original / wave) - low!) / f(high! - low!));
  return f(f(f(1 - smooth) * slow) + f(smooth * frequency));
}

/** YaRN (arXiv 2309.00071): a ramp over the pairs between frequencies as they are and divided by the factor. */
function yarn(
  c: RotaryConfig,
  of: Scaling,
  { wavelengths, dim, theta }: { wavelengths: readonly number[]; dim: number; theta: number },
): number[] {
  const original = of.original_max_position_embeddings || c.max_position_embeddings;
  const pairOf = (turns: number) =>
    dim * Math.log(original / (turns * 2 * Math.PI)) / (2 * Math.log(theta));
  const round = of.truncate ? [Math.floor, Math.ceil] : [(v: number) => v, (v: number) => v];
  const low = Math.max(round[0]!(pairOf(of.beta_fast || 32)), 0);
  let high = Math.min(round[1]!(pairOf(of.beta_slow || 1)), dim - 1);
  if (low === high) high += 0.001;
  return wavelengths.map((w, i) => {
    const ramp = Math.min(1, Math.max(0, f(f(i - low) / f(high - low)))), kept = f(1 - ramp);
    return f(f(f(1 / f(of.factor! * w)) * f(1 - kept)) + f(f(1 / w) * kept));
  });
}

/** What cosines and sines are multiplied by. */
function yarnMagnitude({ attention_factor, factor, mscale, mscale_all_dim }: Scaling): number {
  if (attention_factor !== undefined && attention_factor !== null) return attention_factor;
  const of = (scale: number) => factor! <= 1 ? 1 : 0.1 * scale * Math.log(factor!) + 1;
  return mscale && mscale_all_dim ? of(mscale) / of(mscale_all_dim) : of(1);
}
