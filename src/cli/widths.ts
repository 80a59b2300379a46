/** Widths as flags write them, for the commands that pack or plan to. */
import type { Values } from "../base/config.ts";
import { MoqeError } from "../base/errors.ts";
import type { ModelPlan } from "../base/plan.ts";
import { type PackWidths, storesMxfp4 } from "../pack/widths.ts";
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
export function packWidths(
  flags: Values<typeof widthFlags>,
  { expertLayers }: Pick<ModelPlan, "expertLayers">,
): PackWidths {
  const how = {
    quantizer: flags.quantizer,
    rounding: flags.rounding,
    group: flags.group === undefined ? undefined : Number(flags.group) as Width["group"],
    rotate: flags.rotate,
  };
  const isAsked = Object.values(how).some((value) => value !== undefined && value !== false);
  const asStored = !isAsked && expertLayers.length > 0 && expertLayers.every(storesMxfp4);
  const experts = flags.experts ?? (asStored ? "mxfp4" : "2bit");
  const parts = Object.fromEntries(flags.part.map((text) => partWidth(text, how)));
  return {
    // With exceptions, the quantizer may be theirs alone.
    experts: (experts === "f16" || experts === "mxfp4") && flags.part.length > 0
      ? width(experts)
      : combined(experts, how),
    trunk: width(flags.trunk),
    embedding: width(flags.embedding),
    lmHead: flags.lmHead === undefined ? undefined : width(flags.lmHead),
    parts,
  };
}

function width(word: string): Width {
  return word === "mxfp4" ? { bits: 4, quantizer: "mxfp4" } : { bits: BITS[word]! };
}

/** A width with what else is said of codes. */
function combined(word: string, how: Omit<Width, "bits">): Width {
  const { bits, quantizer } = width(word);
  if (quantizer !== undefined && how.quantizer !== undefined) {
    throw new MoqeError("bad_input", {
      action: `keep experts as ${word}`,
      rule: "their codes stay as they are, so no quantizer chooses them",
      observed: `--quantizer ${how.quantizer}`,
      remedy: "leave out one of both",
    });
  }
  return { ...how, bits, quantizer: quantizer ?? how.quantizer };
}

/** "encoder.attention=2bit"; the quantizer is the experts', which other parts take without feedback, and not a trellis. */
function partWidth(text: string, how: Omit<Width, "bits">): [string, Width] {
  const at = text.indexOf("="), name = text.slice(0, at), word = text.slice(at + 1);
  const isExperts = name.endsWith("experts");
  if (isExperts && word === "mxfp4") return [name, width(word)];
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
  if (isExperts) return [name, own];
  // Only experts are a trellis; other parts of 2 bits beside one get the codebook of least error, too.
  const quantizer = own.quantizer === "trellis" ? "lloyd" : own.quantizer;
  return [name, { ...own, quantizer, rounding: undefined }];
}
