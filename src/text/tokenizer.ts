/** Text to NLLB ids and back: @huggingface/tokenizers, held to the Python library where the two differ. */
import { Tokenizer } from "@huggingface/tokenizers";
import { MoqeError } from "../base/errors.ts";
import { findLanguage } from "./languages.ts";
import { normalizerOf, type Part, preTokenizerOf } from "./normalizers.ts";
import { byteOf, type PieceStep, pieceSteps } from "./pieces.ts";

/** The fields of tokenizer.json that are read here; the rest is the package's affair. */
export interface TokenizerJson {
  model: { vocab: Record<string, number>; merges?: unknown[]; unk_token?: string | null };
  added_tokens?: { id: number; content: string; special?: boolean }[];
  normalizer?: Part | null;
  pre_tokenizer?: Part | null;
  decoder?: Part | null;
  [key: string]: unknown;
}

/** The fields of tokenizer_config.json that are read here. */
export interface TokenizerConfig {
  eos_token?: string | { content: string } | null;
  [key: string]: unknown;
}

/** A language's token: eng_Latn as NLLB names it, __en__ as M2M-100 does. */
const LANGUAGE = /^(?:[a-z]{3}_[A-Z][a-z]{3}|__[a-z_]+__)$/;

/**
 * Bytes that a vocabulary entry and a merge take in the package's tables, and its cache of words when full.
 * Measured with V8 15 (60, 72 and 3.4 MB, with short ASCII pieces) and rounded up for longer ones.
 */
const ENTRY_BYTES = 100;
const MERGE_BYTES = 110;
const CACHE_BYTES = 6 << 20;

/** Longer words are not cached: 10,000 of the package's own limit of 256 would hold 30 MB. */
const LONGEST_CACHED = 32;

/** About what a tokenizer holds in host memory, its normalizer aside. */
export function tokenizerBytes(entries: number, merges: number): number {
  return entries * ENTRY_BYTES + merges * MERGE_BYTES + CACHE_BYTES;
}

/** The token among `languages` of a language, by the model's name for it or its FLORES code. */
export function languageToken(languages: readonly string[], code: string): string | undefined {
  if (languages.includes(code)) return code;
  // M2M-100's __en__ is eng_Latn.
  return languages.find((l) => l.startsWith("__") && findLanguage(l.slice(2, -2))?.flores === code);
}

/** Encodes and decodes. Holds the vocabulary; has no state between calls apart from the package's bounded cache. */
export class TextTokenizer {
  /** An estimate of what this holds in host memory, for the ledger's `tokenizer` line. */
  readonly hostBytes: number;
  readonly eosId: number;
  readonly unkId: number | undefined;
  /** Codes that have a token, as the model names them, in the vocabulary's order. */
  readonly languages: readonly string[];
  readonly #package: Tokenizer;
  readonly #added = new Map<number, string>();
  readonly #ids = new Map<string, number>();
  readonly #special = new Set<string>();
  readonly #pieceSteps: readonly PieceStep[];
  readonly #vocab: readonly (string | undefined)[];

  constructor(json: TokenizerJson, config: TokenizerConfig = {}) {
    for (const { id, content, special } of json.added_tokens ?? []) {
      this.#added.set(id, content);
      this.#ids.set(content, id);
      if (special) this.#special.add(content);
    }
    // The package must not know special tokens: what looks like one in a user's text is text.
    const plain = (json.added_tokens ?? []).filter((token) => !token.special);
    const model = { ...json.model };
    const parts = { pre_tokenizer: null, ...json, normalizer: null, post_processor: null };
    this.#package = new Tokenizer({ ...parts, model, decoder: null, added_tokens: plain }, {});
    // The package has made its own maps of these; the parsed file's would be twice that much again.
    Object.assign(model, { merges: [], vocab: {} });
    Object.assign(this.#package.model!, { merges: [], max_length_to_cache: LONGEST_CACHED });
    const normalizer = normalizerOf(json.normalizer ?? null);
    this.#package.normalizer = normalizer;
    this.#package.pre_tokenizer = preTokenizerOf(json.pre_tokenizer ?? null) ??
      this.#package.pre_tokenizer;
    this.#pieceSteps = pieceSteps(json.decoder ?? null);
    this.#vocab = this.#package.model!.vocab;
    this.unkId = this.#package.model!.unk_token_id;
    this.eosId = this.#required(nameOf(config.eos_token) ?? "</s>");
    this.languages = [...this.#special].filter((content) => LANGUAGE.test(content));
    this.hostBytes = tokenizerBytes(this.#vocab.length, json.model.merges?.length ?? 0) +
      (normalizer?.bytes ?? 0);
  }

  /** The id of a token's exact text, or undefined. */
  tokenId(content: string): number | undefined {
    return this.#ids.get(content) ?? this.#package.token_to_id(content);
  }

  #required(content: string): number {
    const id = this.tokenId(content);
    if (id !== undefined) return id;
    throw new MoqeError("bad_input", {
      action: "load the tokenizer",
      rule: `its vocabulary must have ${content}`,
      remedy: "use the tokenizer.json that belongs to the checkpoint",
    });
  }

  /** The id of the token of a language, by the model's name for it or its FLORES code. Throws `bad_input` that lists the codes there are. */
  languageId(code: string): number {
    const named = languageToken(this.languages, code);
    if (named !== undefined) return this.#required(named);
    throw new MoqeError("bad_input", {
      action: "find the language's token",
      rule: `it must be one of ${this.languages.join(", ")}`,
      observed: code,
    });
  }

  /** Ids of `text` alone, no special token among them but `<unk>`. Lone surrogates count as U+FFFD. */
  encode(text: string): number[] {
    const { ids } = this.#package.encode(text.toWellFormed(), { add_special_tokens: false });
    // A vocabulary whose merges happen to spell a special token must not let a user write one.
    return ids.map((id) => id !== this.unkId && this.#isControl(id) ? this.unkId ?? id : id);
  }

  /** Ids of a source sentence: [language, text..., </s>]. */
  encodeSource(text: string, sourceLanguage: string): number[] {
    return [this.languageId(sourceLanguage), ...this.encode(text), this.eosId];
  }

  /** The text of ids; special tokens and ids outside the vocabulary are left out. */
  decode(ids: readonly number[]): string {
    const pieces = ids.map((id) => this.piece(id)).filter((piece) => piece !== undefined);
    if (pieces.length === 0) return "";
    return this.#pieceSteps.reduce((chain, step) => step(chain), pieces).join("");
  }

  /** The token text of an id as decoding sees it: undefined for special tokens and ids outside the vocabulary. */
  piece(id: number): string | undefined {
    const piece = this.#added.get(id) ?? this.#vocab[id];
    return piece !== undefined && this.#special.has(piece) ? undefined : piece;
  }

  #isControl(id: number): boolean {
    const piece = this.#vocab[id];
    return piece !== undefined && this.#special.has(piece);
  }
}

/**
 * Decodes ids one at a time into text that will not change: the parts joined equal `decode` of all ids.
 * A run of byte tokens is kept back until it ends, since one wrong byte turns all of it into U+FFFD.
 */
export class StreamDecoder {
  readonly #ids: number[] = [];
  #sent = "";

  constructor(readonly tokenizer: TextTokenizer) {}

  /** Takes the next id; returns the text that became certain, often "". */
  push(id: number): string {
    const piece = this.tokenizer.piece(id);
    if (piece === undefined) return "";
    this.#ids.push(id);
    return byteOf(piece) === undefined ? this.#rest() : "";
  }

  /** Returns what was kept back. */
  end(): string {
    return this.#rest();
  }

  #rest(): string {
    const whole = this.tokenizer.decode(this.#ids);
    // A decoder that strips at the end may take text back; it waits until the end then.
    if (!whole.startsWith(this.#sent)) return "";
    const rest = whole.slice(this.#sent.length);
    this.#sent = whole;
    return rest;
  }
}

/** Reads a parsed tokenizer.json, and tokenizer_config.json where there is one. Throws MoqeError. */
export function loadTokenizer(json: unknown, config: unknown = {}): TextTokenizer {
  const model = (json as TokenizerJson | null)?.model;
  if (typeof model?.vocab !== "object" || model.vocab === null) {
    throw new MoqeError("bad_input", {
      action: "load the tokenizer",
      rule: "tokenizer.json must have a model with a vocabulary",
      remedy: "save it with transformers' save_pretrained from a fast tokenizer",
    });
  }
  return new TextTokenizer(json as TokenizerJson, (config ?? {}) as TokenizerConfig);
}

function nameOf(token: TokenizerConfig["eos_token"]): string | undefined {
  return typeof token === "string" ? token : token?.content;
}
