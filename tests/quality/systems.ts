/** The systems of the quality table: which checkpoint, packed how. Data only. */

/** Folders of Hugging Face layout that the table is made from; a system whose folder is not given is left out. */
export const CHECKPOINTS = {
  moe: "the trained model",
  more: "the trained model after further training without quantization (as many steps as qat)",
  qat: "the trained model after quantization-aware training (train.py --qat)",
  twin: "the dense twin: same active parameters, data, steps",
} as const;

export type CheckpointName = keyof typeof CHECKPOINTS;

/** Matrices of a model by what they do, for quantizing one part alone. */
export const PARTS = {
  experts: /\.experts\./,
  "dense FFN": /layers\.\d+\.(ffn\.)?fc[12]\.weight$/,
  attention: /(self_attn|cross_attention|encoder_attn)\.\w+_proj\.weight$/,
  encoder: /^encoder\.layers\..*(proj|fc[12])\.weight$/,
  decoder: /^decoder\.layers\..*(proj|fc[12])\.weight$/,
} as const;

export type PartName = keyof typeof PARTS;

/** One row of a table. */
export interface System {
  readonly id: string;
  readonly title: string;
  readonly checkpoint: CheckpointName;
  /** Arguments of `moqe pack` beside addresses, pairs and licence. CALIBRATION stands for the calibration file. */
  readonly flags: readonly string[];
  /** Instead of packing at a width: only this part is quantized, and all is packed at f16. */
  readonly part?: { readonly name: PartName; readonly bits: 2 | 4 | 8 };
  /** Beam widths that are scored. */
  readonly beams: readonly number[];
}

const F16_TRUNK = ["--trunk", "f16", "--embedding", "f16"];
const BOTH = [1, 4], GREEDY = [1];

function experts(bits: 2 | 3 | 4 | 8, quantizer: string, more: readonly string[] = []): System {
  const words = [quantizer, ...more.filter((f) => f.startsWith("--")).map((f) => f.slice(2))];
  return {
    id: `moe-${bits}bit-${words.join("-")}`,
    title: `${bits}-bit ${words.join(" + ")}`,
    checkpoint: "moe",
    flags: [...F16_TRUNK, "--experts", `${bits}bit`, "--quantizer", quantizer, ...more],
    beams: bits === 2 ? BOTH : GREEDY,
  };
}

/** Experts by every quantizer, the trunk at f16, as in the paper; then what we ship, and the twin. */
export const SYSTEMS: readonly System[] = [
  {
    id: "moe-f16",
    title: "f16",
    checkpoint: "moe",
    flags: [...F16_TRUNK, "--experts", "f16"],
    beams: BOTH,
  },
  ...(["moqe-linear-trunc", "moqe-linear-half", "symmetric"] as const).flatMap((q) =>
    ([8, 4, 2] as const).map((bits) => experts(bits, q))
  ),
  {
    id: "moe-shipped",
    title: "2-bit symmetric, 8-bit trunk (as shipped)",
    checkpoint: "moe",
    flags: [],
    beams: BOTH,
  },
  {
    id: "more-f16",
    title: "f16, trained on",
    checkpoint: "more",
    flags: [...F16_TRUNK, "--experts", "f16"],
    beams: BOTH,
  },
  {
    id: "more-2bit",
    title: "2-bit symmetric of that",
    checkpoint: "more",
    flags: [...F16_TRUNK],
    beams: BOTH,
  },
  { id: "qat-2bit", title: "2-bit QAT", checkpoint: "qat", flags: [...F16_TRUNK], beams: BOTH },
  { id: "qat-shipped", title: "2-bit QAT, 8-bit trunk", checkpoint: "qat", flags: [], beams: BOTH },
  { id: "twin-f16", title: "dense twin f16", checkpoint: "twin", flags: F16_TRUNK, beams: BOTH },
  { id: "twin-8bit", title: "dense twin 8-bit", checkpoint: "twin", flags: [], beams: BOTH },
];

/** Each part alone at each width (least-error symmetric codes), greedy: which weights tolerate few bits. */
export const PART_SYSTEMS: readonly System[] = (Object.keys(PARTS) as PartName[]).flatMap((name) =>
  ([8, 4, 2] as const).map((bits) => ({
    id: `part-${name.replaceAll(" ", "-")}-${bits}`,
    title: `${name}, ${bits}-bit`,
    checkpoint: "moe" as const,
    flags: [],
    part: { name, bits },
    beams: GREEDY,
  }))
);
