/**
 * From token texts back to a string, by the rules of the Python (Rust) library's decoders.
 *
 * @huggingface/tokenizers 0.2.0 differs in three: a run of byte tokens that is not UTF-8 becomes one U+FFFD a byte
 * there and not the browser's fewer ones, a byte order mark is text, and every mark of the first Metaspace token
 * is dropped rather than one. Decoders of other families (WordPiece, CTC) are refused.
 */
import { ReplaceDecoder } from "@huggingface/tokenizers";
import { ByteLevelText } from "./byte_level.ts";
import { type Part, unknownPart } from "./normalizers.ts";

/** Turns a chain of token texts into another; the last one is joined. */
export type PieceStep = (pieces: string[]) => string[];

/** The steps of a tokenizer.json's decoder. Without one, tokens are joined by spaces. */
export function pieceSteps(part: Part | null): PieceStep[] {
  if (part === null) return [(pieces) => [pieces.join(" ")]];
  switch (part.type) {
    case "Sequence":
      return (part["decoders"] as Part[]).flatMap(pieceSteps);
    case "ByteLevel":
      return [joinByteLevel];
    case "ByteFallback":
      return [joinBytes];
    case "Fuse":
      return [(pieces) => [pieces.join("")]];
    case "Strip": {
      const content = String(part["content"] ?? " ");
      const start = Number(part["start"] ?? 0), stop = Number(part["stop"] ?? 0);
      return [(pieces) => pieces.map((piece) => cut(piece, content, start, stop))];
    }
    case "Metaspace": {
      const mark = String(part["replacement"] ?? "▁");
      const first = part["prepend_scheme"] === "never" || part["add_prefix_space"] === false
        ? " "
        : "";
      return [(pieces) => pieces.map((p, i) => p.replaceAll(mark, i === 0 ? first : " "))];
    }
    case "Replace": {
      const decoder = new ReplaceDecoder(part as never);
      return [(pieces) => decoder.decode_chain(pieces)];
    }
  }
  throw unknownPart("decoder", part.type);
}

/** Whether the steps are byte level's alone: then text can be decoded token by token. */
export function isByteLevel(steps: readonly PieceStep[]): boolean {
  return steps.length === 1 && steps[0] === joinByteLevel;
}

/** Joins the bytes of all tokens to one text. */
function joinByteLevel(pieces: string[]): string[] {
  const text = new ByteLevelText();
  return [pieces.map((piece) => text.push(piece)).join("") + text.end()];
}

/** The byte that a byte-fallback token stands for, or undefined. */
export function byteOf(piece: string): number | undefined {
  const match = /^<0x([0-9A-Fa-f]{2})>$/.exec(piece);
  return match === null ? undefined : parseInt(match[1]!, 16);
}

const strictUtf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Joins each run of byte tokens: to its text if it is UTF-8, else to one U+FFFD a byte. */
function joinBytes(pieces: string[]): string[] {
  const out: string[] = [];
  let run: number[] = [];
  const flush = () => {
    if (run.length > 0) out.push(textOf(run));
    run = [];
  };
  for (const piece of pieces) {
    const byte = byteOf(piece);
    if (byte === undefined) {
      flush();
      out.push(piece);
    } else run.push(byte);
  }
  flush();
  return out;
}

function textOf(bytes: number[]): string {
  try {
    return strictUtf8.decode(Uint8Array.from(bytes));
  } catch {
    return "\ufffd".repeat(bytes.length);
  }
}

/** Cuts up to `start` copies of `content` from the front of `piece` and up to `stop` from its end. */
function cut(piece: string, content: string, start: number, stop: number): string {
  for (let i = 0; i < start && piece.startsWith(content); i++) piece = piece.slice(content.length);
  for (let i = 0; i < stop && piece.endsWith(content); i++) piece = piece.slice(0, -content.length);
  return piece;
}
