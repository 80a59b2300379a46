/** The systems of the quality table: which checkpoint, packed how. Data only. */

/** Folders of Hugging Face layout that the table is made from; a system whose folder is not given is left out. */
export const CHECKPOINTS = {
  moe: "`longest` with its layers split into experts (`upcycle.py`), trained on unquantized",
  more: "the mean of `moe` and of what further training of it made, with dropout, unquantized",
  qat:
    "`more` on four levels, at last towards its own translations (`distil.py`, `train.py --qat`)",
  previous: "an earlier release, 40.6 M target tokens in all, on four levels since the last 2.5 M",
  before:
    "the release before `previous`, 30.8 M target tokens in all, read back from its packed form (2-bit experts, 8-bit trunk)",
  twin:
    "the dense twin, from scratch, 17.1 M target tokens; `before` began as it, its layers split into experts",
  longer: "the twin trained on, to 30.8 M target tokens in all, as many as `before`",
  longest: "`longer` trained on, to 40.6 M target tokens in all, as many as `previous`",
  furthest: "`longest` trained on, to as many target tokens in all as `qat`",
  scratch: "a mixture from scratch by the twin's own schedule: same active parameters, data, steps",
  six: "`qat` trained on for six directions, unquantized",
  "six-qat": "`six` on four levels again",
  "six-twin": "`longest` trained on for six directions",
} as const;

export type CheckpointName = keyof typeof CHECKPOINTS;

/** The dev files' pairs; the same files score the other directions, too. */
export const FROM_ENGLISH = ["en-de", "en-fr", "en-es"];

/** One row of a table. */
export interface System {
  readonly id: string;
  readonly title: string;
  readonly checkpoint: CheckpointName;
  /** Arguments of `moqe pack` beside addresses, pairs and licence. CALIBRATION stands for the calibration file. */
  readonly flags: readonly string[];
}

export const F16 = ["--experts", "f16"];
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

export const QAT_8BIT_TRUNK: System = {
  id: "qat-8bit-trunk",
  title: "2-bit QAT, 8-bit trunk (as shipped)",
  checkpoint: "qat",
  flags: [],
};

/** The paper's quantizers per channel, then ours, then what is shipped, and further training. */
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
  QAT_8BIT_TRUNK,
];

/** Rows of one table; `base` is what the others are held against. */
export interface Group {
  readonly title: string;
  /** FROM_ENGLISH unless given. */
  readonly pairs?: readonly string[];
  readonly base: System;
  readonly others: readonly System[];
}

export const SIX_DIRECTIONS = [...FROM_ENGLISH, "de-en", "fr-en", "es-en"];
export const SIX_QAT: System = {
  id: "six-qat-8bit-trunk",
  title: "2-bit QAT, 8-bit trunk",
  checkpoint: "six-qat",
  flags: [],
};

/** One model for both directions of each pair. */
export const SIX: Group = {
  title: "Six directions",
  pairs: SIX_DIRECTIONS,
  base: {
    id: "six-f16",
    title: "f16 experts, 8-bit trunk",
    checkpoint: "six",
    flags: F16,
  },
  others: [
    {
      id: "six-paper",
      title: "2-bit moqe-linear-half (the paper's absmax), 8-bit trunk",
      checkpoint: "six",
      flags: ["--quantizer", "moqe-linear-half"],
    },
    {
      id: "six-nearest",
      title: "2-bit symmetric, 8-bit trunk",
      checkpoint: "six",
      flags: [],
    },
    {
      id: "six-lloyd-gptq",
      title: "2-bit lloyd, gptq, 8-bit trunk",
      checkpoint: "six",
      flags: ["--quantizer", "lloyd", ...HOW.gptq],
    },
    {
      id: "six-3bit-lloyd-gptq",
      title: "3-bit lloyd, gptq, 8-bit trunk",
      checkpoint: "six",
      flags: ["--experts", "3bit", "--quantizer", "lloyd", ...HOW.gptq],
    },
    SIX_QAT,
  ],
};

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
