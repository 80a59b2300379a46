/**
 * What @huggingface/tokenizers 0.2.0 does otherwise than the Python (Rust) library before its model sees a text.
 *
 * - `Precompiled` is approximated there; here the character map is read (precompiled.ts).
 * - NFC, NFD, NFKC and NFKD are of an older Unicode in the Python library (forms.ts).
 * - `Strip` and `WhitespaceSplit` use JavaScript's white space, which has U+FEFF and lacks U+0085; Rust's does not.
 * - `Metaspace` ignores `split` and the older `add_prefix_space`. Splitting also keeps words short, so that the
 *   model's cache serves them, and keeps merges from crossing them.
 *
 * All other kinds are the package's own.
 */
import {
  BertNormalizer,
  LowercaseNormalizer,
  Normalizer,
  PrependNormalizer,
  PreTokenizer,
  ReplaceNormalizer,
  StripAccentsNormalizer,
} from "@huggingface/tokenizers";
import { MoqeError } from "../base/errors.ts";
import { type Form, normalizeAs } from "./forms.ts";
import { CharacterMap } from "./precompiled.ts";

/** One part of tokenizer.json: `type`, and what that type needs. */
export interface Part {
  type: string;
  [key: string]: unknown;
}

type TextStep = (text: string) => string;

const PACKAGE_NORMALIZERS: Record<string, new (config: never) => { normalize: TextStep }> = {
  BertNormalizer,
  Lowercase: LowercaseNormalizer,
  Prepend: PrependNormalizer,
  Replace: ReplaceNormalizer,
  StripAccents: StripAccentsNormalizer,
};

/** A normalizer that the package calls, made of plain functions. */
class Steps extends Normalizer {
  constructor(readonly steps: readonly TextStep[], readonly bytes: number) {
    super({ type: "Sequence" } as never);
  }

  normalize(text: string): string {
    return this.steps.reduce((value, step) => step(value), text);
  }
}

/** The normalizer of a tokenizer.json, or null; `bytes` is what its tables hold. */
export function normalizerOf(part: Part | null): (Normalizer & { bytes: number }) | null {
  if (part === null) return null;
  const tables = { bytes: 0 };
  return new Steps(stepsOf(part, tables), tables.bytes);
}

function stepsOf(part: Part, tables: { bytes: number }): TextStep[] {
  switch (part.type) {
    case "Sequence":
      return (part["normalizers"] as Part[]).flatMap((inner) => stepsOf(inner, tables));
    case "Precompiled": {
      if (!part["precompiled_charsmap"]) return [];
      const map = new CharacterMap(String(part["precompiled_charsmap"]));
      tables.bytes += map.bytes;
      return [(text) => map.normalize(text)];
    }
    case "NFC":
    case "NFD":
    case "NFKC":
    case "NFKD": {
      const form: Form = part.type;
      return [(text) => normalizeAs(text, form)];
    }
    case "Strip": {
      const left = part["strip_left"] === true, right = part["strip_right"] === true;
      return [(text) => strip(text, left, right)];
    }
  }
  const kind = PACKAGE_NORMALIZERS[part.type];
  if (kind === undefined) throw unknownPart("normalizer", part.type);
  const step = new kind(part as never);
  return [(text) => step.normalize(text)];
}

const WHITE_SPACE = /\p{White_Space}/u;

/** Strips White_Space, in time linear in what is stripped (a `\s+$` would look at every inner run). */
function strip(text: string, left: boolean, right: boolean): string {
  let start = 0, end = text.length;
  while (left && start < end && WHITE_SPACE.test(text[start]!)) start++;
  while (right && end > start && WHITE_SPACE.test(text[end - 1]!)) end--;
  return text.slice(start, end);
}

type WordStep = (pieces: string[]) => string[];

/** A pre-tokenizer that the package calls. */
class Words extends PreTokenizer {
  constructor(readonly steps: readonly WordStep[]) {
    super();
  }

  override pre_tokenize_text(text: string): string[] {
    return this.steps.reduce((pieces, step) => step(pieces), [text]);
  }
}

/** Our pre-tokenizer for the kinds that sentencepiece models use; undefined leaves the package's. */
export function preTokenizerOf(part: Part | null): PreTokenizer | undefined {
  const parts = part?.type === "Sequence" ? part["pretokenizers"] as Part[] : part ? [part] : [];
  const steps = parts.map(wordStepOf);
  const known = steps.filter((step) => step !== undefined);
  return known.length === 0 || known.length < steps.length ? undefined : new Words(known);
}

function wordStepOf(part: Part): WordStep | undefined {
  if (part.type === "WhitespaceSplit") {
    return (pieces) => pieces.flatMap((piece) => piece.match(/\P{White_Space}+/gu) ?? []);
  }
  if (part.type !== "Metaspace") return undefined;
  const mark = String(part["replacement"] ?? "▁");
  const older = part["add_prefix_space"] === false ? "never" : "always";
  const scheme = part["prepend_scheme"] ?? older;
  const splits = part["split"] !== false;
  const boundary = new RegExp(`(?=${RegExp.escape(mark)})`, "u");
  return (pieces) =>
    pieces.flatMap((piece, index) => {
      const prepends = scheme === "always" || (scheme === "first" && index === 0);
      let word = piece.replaceAll(" ", mark);
      if (prepends && !word.startsWith(mark)) word = mark + word;
      return splits ? word.split(boundary) : [word];
    });
}

/** The error for a part of tokenizer.json that is not known here. */
export function unknownPart(what: string, type: string): MoqeError {
  return new MoqeError("unsupported", {
    action: "load the tokenizer",
    rule: `its ${what} must be of a kind that moqe knows`,
    observed: type,
    remedy: "convert it with transformers to the parts of a sentencepiece tokenizer",
  });
}
