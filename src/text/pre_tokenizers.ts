/**
 * What cuts a text into words before the model merges within each, by the rules of the Python (Rust) library.
 *
 * @huggingface/tokenizers 0.2.0 differs in these, so that only its reading of regular expressions is used:
 *
 * - `Split` knows two of five behaviours and reads `invert` as a sixth; `(?i:s)` is s and S there, and not U+017F.
 * - `WhitespaceSplit` and `ByteLevel` use JavaScript's white space, which has U+FEFF and lacks U+0085; Rust's does not.
 * - `Digits` knows the ten of ASCII; Rust's are those of all scripts, and other numerals.
 * - `Metaspace` ignores `split` and the older `add_prefix_space`. Splitting also keeps words short, so that the
 *   model's cache serves them, and keeps merges from crossing them.
 */
import { SplitPreTokenizer } from "@huggingface/tokenizers";
import { errorText, MoqeError } from "../base/errors.ts";
import { toByteLevel } from "./byte_level.ts";
import { type Part, unknownPart } from "./normalizers.ts";

/** Cuts each piece further. `isFirst`: whether the first piece stands at the start of the whole text. */
export type WordStep = (pieces: string[], isFirst: boolean) => string[];

/** The steps of a tokenizer.json's pre-tokenizer; none where it has none. Throws MoqeError `unsupported` by name. */
export function wordSteps(part: Part | null): WordStep[] {
  switch (part?.type) {
    case undefined:
      return [];
    case "Sequence":
      return (part!["pretokenizers"] as Part[]).flatMap(wordSteps);
    case "WhitespaceSplit":
      return [(pieces) => pieces.flatMap((piece) => piece.match(/\P{White_Space}+/gu) ?? [])];
    case "Metaspace":
      return [metaspace(part!)];
    case "ByteLevel":
      return [byteLevel(part!)];
    case "Split":
      return [split(part!)];
    case "Digits":
      return [digits(part!)];
  }
  throw unknownPart("pre-tokenizer", part!.type);
}

function metaspace(part: Part): WordStep {
  const mark = String(part["replacement"] ?? "▁");
  const older = part["add_prefix_space"] === false ? "never" : "always";
  const scheme = part["prepend_scheme"] ?? older;
  const splits = part["split"] !== false;
  const boundary = new RegExp(`(?=${RegExp.escape(mark)})`, "u");
  return (pieces, isFirst) =>
    pieces.flatMap((piece, index) => {
      const prepends = scheme === "always" || (scheme === "first" && isFirst && index === 0);
      let word = piece.replaceAll(" ", mark);
      if (prepends && !word.startsWith(mark)) word = mark + word;
      return splits ? word.split(boundary) : [word];
    });
}

/** GPT-2's words, with Rust's white space. */
const GPT2_WORD =
  /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\p{White_Space}\p{L}\p{N}]+|\p{White_Space}+(?!\P{White_Space})|\p{White_Space}+/gu;

function byteLevel(part: Part): WordStep {
  const prefix = part["add_prefix_space"] === true ? " " : "";
  const cuts = part["use_regex"] !== false;
  return (pieces) =>
    pieces.flatMap((piece) => {
      const text = piece.startsWith(" ") ? piece : prefix + piece;
      return (cuts ? text.match(GPT2_WORD) ?? [] : [text]).map(toByteLevel);
    });
}

/** Numerals that Rust's tables (Unicode 17) have and V8's do not yet. */
const NUMERAL = "\\p{N}\\u{11de0}-\\u{11de9}\\u{16ff4}-\\u{16ff6}";

function digits(part: Part): WordStep {
  const run = part["individual_digits"] === true ? "" : "+";
  const pattern = new RegExp(`[${NUMERAL}]${run}`, "gu");
  return (pieces) => pieces.flatMap((piece) => cut(piece, pattern, "Isolated", false));
}

function split(part: Part): WordStep {
  const pattern = patternOf(part);
  const behavior = String(part["behavior"]), invert = part["invert"] === true;
  if (!BEHAVIORS.has(behavior)) throw unknownPart("pre-tokenizer's behavior", behavior);
  return (pieces) => pieces.flatMap((piece) => cut(piece, pattern, behavior, invert));
}

/** The pattern of a Split as the package reads it, with all that a letter without case equals. */
function patternOf(part: Part): RegExp {
  const pattern = part["pattern"] as { Regex?: string; String?: string } | undefined;
  const written = pattern?.Regex ?? pattern?.String;
  try {
    const { source, flags } = new SplitPreTokenizer(part as never).pattern!;
    if (!written!.includes("(?i:")) return new RegExp(source, flags);
    const folded = source.replaceAll("[sS]", "[sS\\u017f]").replaceAll("[kK]", "[kK\\u212a]");
    return new RegExp(folded, flags);
  } catch (cause) {
    throw new MoqeError("unsupported", {
      action: "load the tokenizer",
      rule: `its pre-tokenizer's pattern cannot be read: ${errorText(cause)}`,
      observed: String(written),
      remedy:
        "use a tokenizer.json whose pattern is a regular expression of Oniguruma's common part",
      cause,
    });
  }
}

const BEHAVIORS = new Set([
  "Removed",
  "Isolated",
  "Contiguous",
  "MergedWithPrevious",
  "MergedWithNext",
]);

/** Cuts `text` at the matches of a pattern. With `invert`, what lies between matches is the match. */
function cut(text: string, pattern: RegExp, behavior: string, invert: boolean): string[] {
  const parts: { text: string; isMatch: boolean }[] = [];
  const add = (from: number, to: number, isMatch: boolean) => {
    if (from < to) parts.push({ text: text.slice(from, to), isMatch: isMatch !== invert });
  };
  let end = 0;
  for (const match of text.matchAll(pattern)) {
    add(end, match.index, false);
    end = match.index + match[0].length;
    add(match.index, end, true);
  }
  add(end, text.length, false);
  if (behavior === "Removed") return parts.filter((p) => !p.isMatch).map((p) => p.text);
  if (behavior === "Isolated") return parts.map((p) => p.text);
  return merged(parts, behavior);
}

/** Joins neighbours: matches with what is before or behind them, or runs of either kind. */
function merged(parts: { text: string; isMatch: boolean }[], behavior: string): string[] {
  const words: string[] = [];
  for (const [i, { text, isMatch }] of parts.entries()) {
    const before = parts[i - 1]?.isMatch;
    const joins = behavior === "Contiguous"
      ? before === isMatch
      : behavior === "MergedWithPrevious"
      ? isMatch && before === false
      : before === true && !isMatch;
    if (joins) words[words.length - 1] += text;
    else words.push(text);
  }
  return words;
}
