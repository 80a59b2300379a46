/** What `moqe pack` may be told. */
import type { Calibration } from "./calibration/file.ts";
import type { JournalFile } from "./journal.ts";
import type { BlockOrder } from "./order.ts";
import type { PackedExperts } from "./packed_experts.ts";
import type { PackWidths } from "./widths.ts";

/** Part of the journal's fingerprint and of the manifest: raise it when the bytes that it writes change. */
export const PACKER_VERSION = "moqe-pack 1";
export const DEFAULT_OBJECT_BYTES = 32 * 2 ** 20;

export interface PackOptions extends PackWidths {
  /** The model's name in its manifest. */
  readonly name: string;
  /** FLORES pairs that the model was trained for, "eng_Latn-deu_Latn". */
  readonly pairs: readonly string[];
  readonly licence: { readonly id: string; readonly text?: string | undefined };
  /** Objects are filled up to this; an expert's block larger than it is an object of its own. */
  readonly objectBytes?: number | undefined;
  /** What experts' inputs are like; their errors are then weighed by it. Whoever opened it closes it. */
  readonly calibration?: Calibration | undefined;
  /** The most that all experts' blocks may take: each then has 2, 3 or 4 bits by its sensitivity. */
  readonly expertBytes?: number | undefined;
  /** Experts whose codes and scales are taken as they are, all or those of some layers; their widths come with them. */
  readonly expertsFrom?: PackedExperts | undefined;
  /** By sparse layer: the order in which its experts' blocks lie, those that fire together side by side. */
  readonly order?: BlockOrder | undefined;
  /** Whatever another pack left unfinished in the same place is given up; without it that is refused. */
  readonly anew?: boolean | undefined;
  /** Left out: an interrupted pack starts anew. */
  readonly journal?: JournalFile | undefined;
  readonly signal?: AbortSignal | undefined;
}
