/** Widths as flags write them, for the commands that pack or plan to. */
import type { Values } from "../base/config.ts";
import { MoqeError } from "../base/errors.ts";
import type { PackWidths } from "../pack/widths.ts";
import { atBits, type Width } from "../quant/quantizers.ts";
import type { widthFlags } from "./pack_flags.ts";

const BITS: Readonly<Record<string, Width["bits"]>> = {
  "2bit": 2,
  "3bit": 3,
  "4bit": 4,
  "8bit": 8,
  f16: 16,
};

/** The packer's widths; whether they go together is judged by the packer. */
export function packWidths(flags: Values<typeof widthFlags>): PackWidths {
  const how = {
    quantizer: flags.quantizer,
    rounding: flags.rounding,
    group: flags.group === undefined ? undefined : Number(flags.group) as Width["group"],
    rotate: flags.rotate,
  };
  const parts = Object.fromEntries(flags.part.map((text) => partWidth(text, how)));
  return {
    // With exceptions, the quantizer may be theirs alone.
    experts: flags.experts === "f16" && flags.part.length > 0
      ? width("f16")
      : { ...width(flags.experts), ...how },
    trunk: width(flags.trunk),
    embedding: width(flags.embedding),
    lmHead: flags.lmHead === undefined ? undefined : width(flags.lmHead),
    parts,
  };
}

function width(word: string): Width {
  return { bits: BITS[word]! };
}

/** "encoder.attention=2bit"; the quantizer is the experts', which other parts take without feedback, and not a trellis. */
function partWidth(text: string, how: Omit<Width, "bits">): [string, Width] {
  const at = text.indexOf("="), name = text.slice(0, at), word = text.slice(at + 1);
  if (at < 0 || BITS[word] === undefined) {
    throw new MoqeError("bad_input", {
      action: "read --part",
      rule: `it must be PART=WIDTH, with a width of ${Object.keys(BITS).join(", ")}`,
      observed: text,
    });
  }
  const bits = BITS[word];
  if (bits === 16) return [name, { bits }];
  const own = atBits(how, bits);
  if (name.endsWith("experts")) return [name, own];
  // Only experts are a trellis; other parts of 2 bits beside one get the codebook of least error, too.
  const quantizer = own.quantizer === "trellis" ? "lloyd" : own.quantizer;
  return [name, { ...own, quantizer, rounding: undefined }];
}
