/** What turns words into tokens: a vocabulary and the rule of a tokenizer.json's `model`. */
import { type Model, Tokenizer } from "@huggingface/tokenizers";
import { MoqeError } from "../base/errors.ts";
import { Bpe, type BpeOptions, Merges } from "./bpe.ts";
import { faulty } from "./json_reader.ts";

/** Words to ids. */
export interface TokenModel {
  readonly vocabulary: Pick<Vocabulary, "id" | "token">;
  readonly unkId: number | undefined;
  /** An estimate of the host memory that it holds. */
  readonly hostBytes: number;
  /** Ids of the words' tokens, one word after the other. */
  ids(words: readonly string[]): number[];
}

/** `model` of a tokenizer.json, parsed. */
export interface ModelJson extends BpeOptions {
  type?: string;
  /** Of a Unigram model: a list of texts and scores. */
  vocab: Record<string, number>;
  merges?: (string | [string, string])[];
  [field: string]: unknown;
}

/**
 * Bytes that an entry takes: its text, its place in the map and in the list. Measured with V8 15 and pieces of 6 to 8
 * characters, and rounded up for longer ones.
 */
const ENTRY_BYTES = 100;
/** Ids beyond are refused: the list has a place for each. */
const HIGHEST_ID = 2 ** 22;

/** About what a BPE tokenizer of so many tokens and merges holds in host memory, its normalizer aside. */
export function tokenizerBytes(entries: number, merges: number): number {
  return entries * ENTRY_BYTES + Merges.bytesFor(merges);
}

/** Tokens by text and by id. */
export class Vocabulary {
  readonly #ids = new Map<string, number>();
  readonly #tokens: (string | undefined)[] = [];

  get hostBytes(): number {
    return this.#ids.size * ENTRY_BYTES;
  }

  id(token: string): number | undefined {
    return this.#ids.get(token);
  }

  token(id: number): string | undefined {
    return this.#tokens[id];
  }

  /** Adds a token. Throws MoqeError `corrupt` for an id that is none. */
  add(token: string, id: number): void {
    if (!Number.isInteger(id) || id < 0 || id > HIGHEST_ID) {
      throw faulty(`a token's id must be a whole number up to ${HIGHEST_ID}`, String(id));
    }
    this.#ids.set(token, id);
    while (this.#tokens.length < id) this.#tokens.push(undefined);
    this.#tokens[id] = token;
  }
}

/** Adds a merge of two tokens. One that names no token, or makes none, can never be used and is left out. */
export function addMerge(
  merges: Merges,
  vocabulary: Vocabulary,
  left: string,
  right: string,
): void {
  const ids = [left, right, left + right].map((token) => vocabulary.id(token));
  const [one, other, made] = ids;
  if (one !== undefined && other !== undefined && made !== undefined) merges.add(one, other, made);
}

/** A merge that is written as one text: its tokens are parted by a space. */
export function partsOf(merge: string): [string, string] {
  const space = merge.indexOf(" ", 1);
  return [merge.slice(0, space), merge.slice(space + 1)];
}

/** The model of a parsed tokenizer.json. Throws MoqeError `unsupported` for what is not done. */
export function modelOf(json: ModelJson): TokenModel {
  const isBpe = json.type === "BPE" || (json.type === undefined && json.merges !== undefined);
  if (!isBpe) return new PackageModel(json);
  const vocabulary = new Vocabulary(), merges = new Merges(json.merges?.length ?? 0);
  for (const [token, id] of Object.entries(json.vocab)) {
    vocabulary.add(token, id);
  }
  for (const merge of json.merges ?? []) {
    const [left, right] = typeof merge === "string" ? partsOf(merge) : merge;
    addMerge(merges, vocabulary, left, right);
  }
  return bpeOf(json, vocabulary, merges);
}

/** A BPE model of what was read already. */
export function bpeOf(json: ModelJson, vocabulary: Vocabulary, merges: Merges): TokenModel {
  for (const field of ["continuing_subword_prefix", "end_of_word_suffix", "dropout"]) {
    if (!json[field]) continue;
    throw new MoqeError("unsupported", {
      action: "load the tokenizer",
      rule: `its model must have no ${field}`,
      observed: String(json[field]),
    });
  }
  return new Bpe(vocabulary, merges, json);
}

/** A model of the package: Unigram and others that are no BPE. */
class PackageModel implements TokenModel {
  readonly vocabulary: Pick<Vocabulary, "id" | "token">;
  readonly unkId: number | undefined;
  readonly hostBytes: number;
  readonly #model: Model;

  constructor(json: ModelJson) {
    const none = { normalizer: null, pre_tokenizer: null, post_processor: null, decoder: null };
    const model = { ...json };
    this.#model = new Tokenizer({ ...none, model, added_tokens: [] } as never, {}).model!;
    // The package has made its own maps of these; the parsed file's would be twice that much again.
    Object.assign(model, { vocab: {} });
    const { vocab, tokens_to_ids, unk_token_id } = this.#model;
    this.vocabulary = { id: (token) => tokens_to_ids.get(token), token: (id) => vocab[id] };
    this.unkId = unk_token_id;
    this.hostBytes = vocab.length * 2 * ENTRY_BYTES;
  }

  ids(words: string[]): number[] {
    const ids = this.#model(words).map((t) => this.vocabulary.id(t) ?? this.unkId);
    return ids.filter((id) => id !== undefined);
  }
}
