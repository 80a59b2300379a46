/**
 * What is done to a text before it is cut into words, by the rules of the Python (Rust) library.
 *
 * @huggingface/tokenizers 0.2.0 differs in these:
 *
 * - `Precompiled` is approximated there; here the character map is read (precompiled.ts).
 * - NFC, NFD, NFKC and NFKD are of an older Unicode in the Python library (forms.ts).
 * - `Strip` uses JavaScript's white space, which has U+FEFF and lacks U+0085; Rust's does not.
 *
 * All other kinds are the package's own.
 */
import {
  BertNormalizer,
  LowercaseNormalizer,
  PrependNormalizer,
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

/** Turns a text into another. */
export type TextStep = (text: string) => string;

const PACKAGE_NORMALIZERS: Record<string, new (config: never) => { normalize: TextStep }> = {
  BertNormalizer,
  Lowercase: LowercaseNormalizer,
  Prepend: PrependNormalizer,
  Replace: ReplaceNormalizer,
  StripAccents: StripAccentsNormalizer,
};

/** The normalizer of a tokenizer.json as one function; `bytes` is what its tables hold. Throws MoqeError `unsupported` by name. */
export function normalizerOf(part: Part | null): { normalize: TextStep; bytes: number } {
  const tables = { bytes: 0 };
  const steps = part === null ? [] : stepsOf(part, tables);
  return {
    normalize: (text) => steps.reduce((value, step) => step(value), text),
    bytes: tables.bytes,
  };
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

/** The error for a part of tokenizer.json that is not known here. */
export function unknownPart(what: string, type: string): MoqeError {
  return new MoqeError("unsupported", {
    action: "load the tokenizer",
    rule: `its ${what} must be of a kind that moqe knows`,
    observed: type,
    remedy: "convert it with transformers to the parts of a sentencepiece or byte-level tokenizer",
  });
}
