/** Options of the packs that tests make. */
import type { PackOptions } from "../../src/pack/options.ts";

/** Small objects, so that tiny checkpoints make several. */
export const TEST_PACK: PackOptions = {
  name: "tiny",
  pairs: ["eng_Latn-deu_Latn"],
  licence: { id: "MIT" },
  experts: { bits: 2 },
  trunk: { bits: 4 },
  embedding: { bits: 8 },
  objectBytes: 16 * 1024,
};
