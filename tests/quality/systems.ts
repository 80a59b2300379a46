/** The systems of the quality table: which checkpoint, packed how. Data only. */

/** Folders of Hugging Face layout that the table is made from; a system whose folder is not given is left out. */
export const CHECKPOINTS = {
  moe: "a dense model with its layers split into experts (`upcycle.py`), trained on unquantized",
  more: "the mean of `moe` and of what further training of it made, with dropout, unquantized",
  qat:
    "`more` on four levels, at last towards its own translations (`distil.py`, `train.py --qat`)",
} as const;

export type CheckpointName = keyof typeof CHECKPOINTS;

/** The dev files' pairs. */
export const FROM_ENGLISH = ["en-de", "en-fr", "en-es"];

/** One row of a table. */
export interface System {
  readonly id: string;
  readonly title: string;
  readonly checkpoint: CheckpointName;
  /** Arguments of `moqe pack` beside addresses, pairs and licence. CALIBRATION stands for the calibration file. */
  readonly flags: readonly string[];
}

const F16 = ["--experts", "f16"];
const F16_TRUNK = ["--trunk", "f16", "--embedding", "f16"];
const WEIGHED = ["--calibration", "CALIBRATION"];
type Bits = 2 | 3 | 4 | 8;

/** Experts at some bits, everything else f16, as in the paper. */
function experts(
  bits: Bits,
  quantizer: string,
  how: keyof typeof HOW = "plain",
): System {
  return {
    id: `moe-${bits}bit-${quantizer}-${how.replaceAll(" ", "-")}`,
    title: `${bits}-bit ${quantizer}${how === "plain" ? "" : `, ${how}`}`,
    checkpoint: "moe",
    flags: [...F16_TRUNK, "--experts", `${bits}bit`, "--quantizer", quantizer, ...HOW[how]],
  };
}

/** What is done beside choosing levels, as flags. */
const HOW = {
  plain: [],
  weighted: WEIGHED,
  gptq: [...WEIGHED, "--rounding", "gptq"],
  "rotated": ["--rotate"],
  "rotated, gptq": ["--rotate", ...WEIGHED, "--rounding", "gptq"],
} as const;

/** The paper's quantizers per channel, then ours, an 8-bit trunk, and further training. */
export const SYSTEMS: readonly System[] = [
  {
    id: "moe-f16",
    title: "f16",
    checkpoint: "moe",
    flags: [...F16, ...F16_TRUNK],
  },
  ...(["moqe-linear-trunc", "moqe-linear-half", "moqe-log"] as const).flatMap((q) =>
    ([8, 4, 3, 2] as const).filter((bits) => q !== "moqe-log" || bits < 8)
      .map((bits) => experts(bits, q))
  ),
  ...([8, 4, 3, 2] as const).map((bits) => experts(bits, "symmetric")),
  ...([4, 3, 2] as const).map((bits) => experts(bits, "lloyd")),
  experts(2, "symmetric", "weighted"),
  experts(2, "lloyd", "weighted"),
  experts(2, "symmetric", "rotated"),
  experts(3, "symmetric", "gptq"),
  experts(2, "symmetric", "gptq"),
  experts(2, "lloyd", "gptq"),
  experts(2, "lloyd", "rotated, gptq"),
  {
    id: "moe-8bit-trunk",
    title: "2-bit symmetric, 8-bit trunk",
    checkpoint: "moe",
    flags: [],
  },
  {
    id: "moe-lloyd-gptq-8bit-trunk",
    title: "2-bit lloyd, gptq, 8-bit trunk",
    checkpoint: "moe",
    flags: ["--quantizer", "lloyd", ...HOW.gptq],
  },
  {
    id: "more-f16",
    title: "f16 after further training",
    checkpoint: "more",
    flags: [...F16, ...F16_TRUNK],
  },
  { id: "qat-2bit", title: "2-bit QAT", checkpoint: "qat", flags: F16_TRUNK },
  { id: "qat-8bit-trunk", title: "2-bit QAT, 8-bit trunk", checkpoint: "qat", flags: [] },
];

/** Rows of one table; `base` is what the others are held against. */
export interface Group {
  readonly title: string;
  readonly base: System;
  readonly others: readonly System[];
}

const PARTS = {
  experts: ["experts"],
  "dense FFN": ["dense_ffn"],
  attention: ["attention"],
  encoder: ["encoder.experts", "encoder.dense_ffn", "encoder.attention"],
  decoder: ["decoder.experts", "decoder.dense_ffn", "decoder.attention"],
} as const;

/** Each part alone at each width (least-error symmetric codes), greedy: which weights tolerate few bits. */
export const PART_SYSTEMS: readonly System[] = Object.entries(PARTS).flatMap(([title, names]) =>
  ([4, 3, 2] as const).map((bits) => ({
    id: `part-${title.replaceAll(" ", "-")}-${bits}`,
    title: `${title}, ${bits}-bit`,
    checkpoint: "moe" as const,
    flags: [...F16, ...F16_TRUNK, "--part", names.map((n) => `${n}=${bits}bit`).join(",")],
  }))
);
