/** Dense models and mixtures with their active parameters, to be held against one another. Data only. */
import {
  F16,
  type Group,
  QAT_8BIT_TRUNK,
  SIX_DIRECTIONS,
  SIX_QAT,
  type System,
} from "./systems.ts";

const TWIN: System = { id: "twin-8bit", title: "dense, 8-bit", checkpoint: "twin", flags: [] };

const LONGEST: System = {
  id: "longest-8bit",
  title: "dense, 8-bit",
  checkpoint: "longest",
  flags: [],
};
const LOW_TRUNK = ["--trunk", "4bit", "--embedding", "4bit"];
const SHIPPED: System = { ...QAT_8BIT_TRUNK, title: "MoE as shipped, 2-bit QAT, 8-bit trunk" };

/** Models that are packed already; one without a folder of its own is left out unless a flag of its name says where. */
export const PACKED = {
  dense: { title: "dense, 8-bit", folder: "models/recipe/dense-twin" },
  mixture: { title: "2-bit experts, 8-bit trunk", folder: "models/tiny-en-de-fr-es" },
  "dense-4bit": { title: "dense, 4-bit", folder: undefined },
  "mixture-4bit": { title: "2-bit experts, 4-bit trunk", folder: undefined },
} as const;

export type PackedName = keyof typeof PACKED;

/** A dense model and a mixture that are packed already, held against one another. */
export interface PackedGroup {
  readonly title: string;
  readonly dense: PackedName;
  readonly mixture: PackedName;
  /** Expert slots of the arena at which the peak ledger is told; STATED_SLOTS unless given. */
  readonly slots?: number;
}

/** What is in `models/`, by every kind of text that it was made for. */
export const PACKED_GROUPS: readonly PackedGroup[] = [
  { title: "What ships now, beside its dense twin", dense: "dense", mixture: "mixture" },
  { title: "Both with a 4-bit trunk", dense: "dense-4bit", mixture: "mixture-4bit", slots: 4 },
];

/** Dense twins and mixtures with their active parameters, at equal target tokens unless a title says otherwise. */
export const TWIN_GROUPS: readonly Group[] = [
  {
    title: "Six directions, beside the dense twin",
    pairs: SIX_DIRECTIONS,
    base: { id: "six-twin-8bit", title: "dense, 8-bit", checkpoint: "six-twin", flags: [] },
    others: [{ ...SIX_QAT, title: "MoE, 2-bit QAT, 8-bit trunk" }],
  },
  {
    title: "From scratch, 17.1 M target tokens each",
    base: TWIN,
    others: [
      {
        id: "scratch-f16",
        title: "MoE from scratch, f16 experts, 8-bit trunk",
        checkpoint: "scratch",
        flags: F16,
      },
      {
        id: "scratch-2bit",
        title: "MoE from scratch, 2-bit experts, 8-bit trunk",
        checkpoint: "scratch",
        flags: [],
      },
    ],
  },
  {
    title: "An earlier release, 30.8 M target tokens each",
    base: { id: "longer-8bit", title: "dense, 8-bit", checkpoint: "longer", flags: [] },
    others: [
      {
        id: "before-2bit",
        title: "MoE as released then, 2-bit QAT, 8-bit trunk",
        checkpoint: "before",
        flags: [],
      },
      { ...TWIN, title: "dense, 8-bit, after 17.1 M: what both began as" },
    ],
  },
  {
    title: "The release before, 40.6 M target tokens each",
    base: LONGEST,
    others: [
      {
        id: "previous-2bit",
        title: "MoE as released before, 2-bit QAT, 8-bit trunk",
        checkpoint: "previous",
        flags: [],
      },
    ],
  },
  {
    title: "What ships, and the dense model that it began as (40.6 M target tokens)",
    base: LONGEST,
    others: [SHIPPED],
  },
  {
    title: "What ships, and the same dense model, with a 4-bit trunk",
    base: {
      id: "longest-4bit-trunk",
      title: "dense, 4-bit",
      checkpoint: "longest",
      flags: LOW_TRUNK,
    },
    others: [{
      id: "qat-4bit-trunk",
      title: "MoE, 2-bit QAT, 4-bit trunk",
      checkpoint: "qat",
      flags: LOW_TRUNK,
    }],
  },
  {
    title: "What ships, at equal target tokens",
    base: { id: "furthest-8bit", title: "dense, 8-bit", checkpoint: "furthest", flags: [] },
    others: [SHIPPED],
  },
];
