/** Flags of the commands that make packed models, or plan to. */
import {
  choice,
  int,
  list,
  optionalChoice,
  optionalSize,
  optionalText,
  size,
  text,
  toggle,
} from "../base/config.ts";
import {
  budgetFlags,
  engineFlags,
  modelFlags,
  placedEngineFlags,
  translateFlags,
} from "./flags.ts";

const WIDTHS = ["2bit", "3bit", "4bit", "8bit", "f16"] as const;

/** Widths of a packed model's parts. */
export const widthFlags = {
  experts: choice(WIDTHS, "2bit", "width of the experts"),
  quantizer: optionalChoice(
    ["symmetric", "lloyd", "trellis", "moqe-linear-trunc", "moqe-linear-half", "moqe-log"],
    "how the experts' codes are chosen; symmetric unless given",
  ),
  rounding: optionalChoice(
    ["nearest", "gptq"],
    "how the experts' weights meet their codes; gptq needs --calibration",
  ),
  rotate: toggle("turn the experts' inputs by a Hadamard transform before they are quantized"),
  group: optionalChoice(
    ["0", "32", "64", "128"],
    "expert weights that share a scale, 0 for a channel; 64 for symmetric 2 to 4 bits, lloyd and trellis unless given, else 0",
  ),
  trunk: choice(WIDTHS, "8bit", "width of the matrices that are no experts"),
  embedding: choice(["f16", "8bit", "4bit"], "8bit", "width of the embedding"),
  part: list(
    "PART=WIDTH",
    "exceptions, as attention=4bit, encoder.experts=2bit or decoder.3.experts=4bit; parts are experts, dense_ffn, attention",
  ),
  lmHead: optionalChoice(
    ["f16", "8bit", "4bit"],
    "width of the output matrix; the embedding's unless given, shared where they are tied",
  ),
};

/** How blocks lie in the store, and what is done with what another run left there. */
const placeFlags = {
  orderBy: optionalText(
    "TRACE",
    "what moqe profile --trace wrote: experts that fire together lie side by side",
  ),
  objectSize: size("32MiB", "about how large the stored objects are"),
  anew: toggle("give up what a pack with other options left unfinished in the same place"),
};

/** Packing. */
export const packFlags = {
  ...widthFlags,
  calibration: optionalText("FILE", "what moqe calibrate wrote: errors are weighed by it"),
  expertBytes: optionalSize(
    "give experts 2 to 4 bits by their sensitivity, within this size of all of them together",
  ),
  expertsFrom: optionalText(
    "MODEL",
    "take experts' codes and scales from this packed model, all else from CHECKPOINT",
  ),
  keptLayers: list(
    "LAYERS",
    "take those of these layers alone, as decoder.0,decoder.1, and quantize the others",
  ),
  pairs: list("PAIRS", "what the model was trained for: en-de,en-fr or FLORES codes"),
  licence: optionalText(
    "ID",
    "the model's licence, as an SPDX identifier; that of its card on a hub unless given",
  ),
  name: optionalText(
    "NAME",
    "the model's name; the checkpoint folder's or repository's unless given",
  ),
  ...placeFlags,
  progress: toggle("show progress on stderr also when that is no terminal"),
};

/** A packed model in another order. */
export const reorderFlags = {
  ...placeFlags,
  mirror: modelFlags.mirror,
  manifestSha256: modelFlags.manifestSha256,
  progress: toggle("show progress on stderr also when that is no terminal"),
};

/** Calibration. */
export const calibrateFlags = {
  output: text("FILE", "calibration.moqe", "where the calibration is written"),
  pairs: list(
    "PAIRS",
    "languages, each text to one of them in turn; all of the model unless given",
  ),
  samples: int(
    0,
    { min: 0, max: 65536 },
    "rows kept of each expert's input; 0 for 4096, or 512 where experts are wider than 1024",
  ),
  texts: int(600, { min: 1, max: 1_000_000 }, "texts to use, the first of the file"),
  ...placedEngineFlags,
  progress: translateFlags.progress,
};

/** Planning. */
export const planFlags = {
  config: optionalText(
    "FILE",
    "a checkpoint's config.json: sizes of its packed model and least budgets",
  ),
  mirror: modelFlags.mirror,
  manifestSha256: modelFlags.manifestSha256,
  ...budgetFlags,
  bandwidth: size("100MB", "bytes a second that the store sends, for the cost of a cold start"),
  threads: engineFlags.threads,
  maxBatchTokens: engineFlags.maxBatchTokens,
  maxSourceTokens: engineFlags.maxSourceTokens,
  kvCache: engineFlags.kvCache,
  ...widthFlags,
};
