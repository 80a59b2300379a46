/** Packed models that are held against one another: what ships and its dense twin. Data only. */

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
