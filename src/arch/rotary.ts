/** Rotary positions of a configuration: an angle a position for each pair of channels, in f32 as transformers has it. */
import { z } from "zod";
import type { RotarySpec } from "../nn/spec.ts";

const scaling = z.looseObject({
  rope_type: z.string().optional(),
  type: z.string().optional(),
  rope_theta: z.number().positive().optional(),
  factor: z.number().positive().optional(),
  attention_factor: z.number().positive().nullish(),
  mscale: z.number().nonnegative().nullish(),
  mscale_all_dim: z.number().nonnegative().nullish(),
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
  rope_theta: z.number().positive().optional(),
  rope_scaling: scaling.nullish(),
  rope_parameters: scaling.nullish(),
  partial_rotary_factor: z.number().nullish(),
};
const rotaryConfig = z.object(rotaryFields);
type RotaryConfig = z.infer<typeof rotaryConfig>;

/** What a family takes where its configuration says nothing. */
export interface RotaryDefaults {
  readonly theta?: number | undefined;
  readonly scaling?: z.input<typeof scaling> | undefined;
}

const f = Math.fround;
const KINDS = ["default", "linear", "llama3", "yarn"] as const;
/** What each kind cannot do without. */
const NEEDS: Readonly<Record<typeof KINDS[number], readonly (keyof Scaling)[]>> = {
  default: [],
  linear: ["factor"],
  llama3: ["factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings"],
  yarn: ["factor"],
};
/** Turns over the original length from which yarn leaves a pair as it is, and below which it divides it whole. */
const BETA_FAST = 32;
const BETA_SLOW = 1;

function kindOf({ rope_type, type }: Scaling): string {
  return rope_type ?? type ?? "default";
}

/** What cannot be run of a configuration's rotary positions, in words. */
export function rotaryFaults(c: RotaryConfig, headDim: number): string[] {
  const of = c.rope_parameters ?? c.rope_scaling ?? undefined, faults: string[] = [];
  const partial = of?.["partial_rotary_factor"] ?? c.partial_rotary_factor ?? 1;
  if (partial !== 1) faults.push(`partial_rotary_factor is ${partial}, only 1 is run`);
  if (headDim % 2 !== 0) {
    faults.push(`rotary positions turn pairs of channels, head_dim is ${headDim}`);
  }
  if (of === undefined) return faults;
  const kind = kindOf(of);
  faults.push(...contradictions(c, of));
  if (!KINDS.includes(kind as typeof KINDS[number])) {
    return [...faults, `rope_type is ${JSON.stringify(kind)}, only ${KINDS.join(", ")} are run`];
  }
  return [
    ...faults,
    ...kindFaults(kind as typeof KINDS[number], of, of.rope_theta ?? c.rope_theta),
  ];
}

/** Where a configuration says two things of one. */
function contradictions(c: RotaryConfig, of: Scaling): string[] {
  const { rope_parameters: newer, rope_scaling: older } = c, faults: string[] = [];
  const { rope_type, type, rope_theta } = of;
  if (rope_type !== undefined && type !== undefined && rope_type !== type) {
    faults.push(`rope_type is ${rope_type} and type is ${type}`);
  }
  if (rope_theta !== undefined && c.rope_theta !== undefined && rope_theta !== c.rope_theta) {
    faults.push(`rope_theta is ${c.rope_theta} and ${rope_theta} in one configuration`);
  }
  const said = (s: Scaling) => JSON.stringify(Object.entries({ ...s, rope_theta: 0 }).sort());
  if (newer && older && said(newer) !== said(older)) {
    faults.push("rope_parameters and rope_scaling are not the same");
  }
  const part = Object.entries(of).find(([, v]) =>
    typeof v === "object" && v !== null && !Array.isArray(v)
  );
  if (part !== undefined) {
    faults.push(`rope_parameters has ${part[0]} of its own, one for all layers is run`);
  }
  return faults;
}

/** What a kind of scaling lacks, or cannot compute with. */
function kindFaults(kind: typeof KINDS[number], of: Scaling, theta: number | undefined): string[] {
  const missing = NEEDS[kind].filter((name) => of[name] === undefined || of[name] === null);
  const faults = missing.map((name) => `rope_scaling of ${kind} has no ${name}`);
  if (faults.length > 0) return faults;
  const { low_freq_factor: low, high_freq_factor: high } = of;
  if (kind === "llama3" && high! <= low!) {
    faults.push(`high_freq_factor ${high} is not above low_freq_factor ${low}`);
  }
  const fast = of.beta_fast || BETA_FAST, slow = of.beta_slow || BETA_SLOW;
  if (kind === "yarn" && fast <= slow) {
    faults.push(`beta_fast ${fast} is not above beta_slow ${slow}`);
  }
  if (kind === "yarn" && theta !== undefined && theta <= 1) {
    faults.push(`rope_theta is ${theta}, yarn needs one above 1`);
  }
  return faults;
}

/** The rotary positions of a configuration without faults. */
export function rotaryOf(
  c: RotaryConfig,
  dim: number,
  defaults: RotaryDefaults = {},
): RotarySpec {
  const unsaid = c.rope_scaling === undefined ? defaults.scaling : undefined;
  const of = c.rope_parameters ?? c.rope_scaling ?? scaling.parse(unsaid ?? {});
  const theta = of.rope_theta ?? c.rope_theta ?? defaults.theta ?? 10000;
  const wavelengths = Array.from(
    { length: dim / 2 },
    (_, i) => f(f(theta) ** f(f(2 * i) / f(dim))),
  );
  const plain = wavelengths.map((w) => f(1 / w));
  const made = { kind: "rotary", pairs: "halves", magnitude: 1 } as const;
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
  const low = Math.max(round[0]!(pairOf(of.beta_fast || BETA_FAST)), 0);
  let high = Math.min(round[1]!(pairOf(of.beta_slow || BETA_SLOW)), dim - 1);
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
