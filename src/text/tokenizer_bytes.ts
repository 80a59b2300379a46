/**
 * A tokenizer from the bytes of its tokenizer.json. A BPE model's vocabulary and merges are most of the file: they are
 * read straight from the bytes into the model, since as objects they take ten times their size (143 MiB for Qwen3).
 */
import { errorText } from "../base/errors.ts";
import { Merges } from "./bpe.ts";
import { CLOSE_LIST, COMMA, faulty, JsonReader, OPEN_LIST, OPEN_OBJECT } from "./json_reader.ts";
import { addMerge, bpeOf, partsOf, Vocabulary } from "./token_model.ts";
import {
  loadTokenizer,
  type TextTokenizer,
  type TokenizerConfig,
  type TokenizerJson,
} from "./tokenizer.ts";

/** Reads tokenizer.json, with the configuration of tokenizer_config.json. Throws MoqeError `corrupt` for what is none. */
export function readTokenizer(bytes: Uint8Array, config: TokenizerConfig = {}): TextTokenizer {
  const { vocab, merges } = spansOf(bytes);
  const isBpe = vocab !== undefined && merges !== undefined && bytes[vocab.start] === OPEN_OBJECT;
  if (!isBpe) return loadTokenizer(parsed([bytes]), config);
  const vocabulary = readVocabulary(bytes.subarray(vocab.start, vocab.end));
  const pairs = readMerges(bytes.subarray(merges.start, merges.end), vocabulary);
  const json = parsed(without(bytes, [vocab, merges])) as TokenizerJson;
  return loadTokenizer(json, config, bpeOf(json.model, vocabulary, pairs));
}

interface Span {
  start: number;
  end: number;
}

/** The parts of a file around two spans, which become null. */
function without(bytes: Uint8Array, spans: Span[]): Uint8Array[] {
  const [first, second] = spans.sort((a, b) => a.start - b.start) as [Span, Span];
  const nothing = new TextEncoder().encode("null");
  return [
    bytes.subarray(0, first.start),
    nothing,
    bytes.subarray(first.end, second.start),
    nothing,
    bytes.subarray(second.end),
  ];
}

function parsed(parts: Uint8Array[]): unknown {
  const decoder = new TextDecoder();
  const text = parts.map((part) => decoder.decode(part, { stream: true })).join("");
  try {
    return JSON.parse(text + decoder.decode());
  } catch (cause) {
    throw faulty(errorText(cause));
  }
}

/** Where the values of `model.vocab` and `model.merges` stand. */
function spansOf(bytes: Uint8Array): { vocab?: Span; merges?: Span } {
  const spans: { vocab?: Span; merges?: Span } = {};
  const reader = new JsonReader(bytes);
  if (!reader.take(OPEN_OBJECT)) return spans;
  for (const key of reader.keys()) {
    if (key !== "model" || !reader.take(OPEN_OBJECT)) {
      reader.skip();
      continue;
    }
    for (const inner of reader.keys()) {
      const start = reader.next();
      reader.skip();
      if (inner === "vocab" || inner === "merges") spans[inner] = { start, end: reader.at };
    }
  }
  return spans;
}

function readVocabulary(bytes: Uint8Array): Vocabulary {
  const vocabulary = new Vocabulary();
  const reader = new JsonReader(bytes);
  reader.need(OPEN_OBJECT);
  for (const token of reader.keys()) vocabulary.add(token, reader.number());
  return vocabulary;
}

function readMerges(bytes: Uint8Array, vocabulary: Vocabulary): Merges {
  const merges = new Merges(lengthOf(bytes));
  const reader = new JsonReader(bytes);
  for (const _ of reader.items()) {
    const isPair = reader.take(OPEN_LIST);
    const text = reader.text();
    if (!isPair) addMerge(merges, vocabulary, ...partsOf(text));
    else {
      reader.need(COMMA);
      addMerge(merges, vocabulary, text, reader.text());
      reader.need(CLOSE_LIST);
    }
  }
  return merges;
}

/** Values of a list. */
function lengthOf(bytes: Uint8Array): number {
  const reader = new JsonReader(bytes);
  let length = 0;
  for (const _ of reader.items()) {
    reader.skip();
    length++;
  }
  return length;
}
