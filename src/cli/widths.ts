/** Widths as flags write them, for the commands that pack or plan to. */
import type { Values } from "../base/config.ts";
import type { PackWidths } from "../pack/widths.ts";
import type { Width } from "../quant/quantizers.ts";
import type { widthFlags } from "./flags.ts";

/** The packer's widths; whether they go together is judged by the packer. */
export function packWidths(flags: Values<typeof widthFlags>): PackWidths {
  return {
    experts: {
      ...width(flags.experts),
      quantizer: flags.quantizer,
      group: flags.group === undefined ? undefined : Number(flags.group) as Width["group"],
    },
    trunk: width(flags.trunk),
    embedding: width(flags.embedding),
    lmHead: flags.lmHead === undefined ? undefined : width(flags.lmHead),
  };
}

function width(word: "2bit" | "4bit" | "8bit" | "f16"): Width {
  return { bits: ({ "2bit": 2, "4bit": 4, "8bit": 8, f16: 16 } as const)[word] };
}
