/** Text to ids and back, as the Python (Rust) library does it. */
import { MoqeError } from "../base/errors.ts";
import { type AddedToken, AddedTokens } from "./added_tokens.ts";
import { ByteLevelText } from "./byte_level.ts";
import { type Frame, frameOf } from "./frame.ts";
import { findLanguage } from "./languages.ts";
import { normalizerOf, type Part } from "./normalizers.ts";
import { byteOf, isByteLevel, type PieceStep, pieceSteps } from "./pieces.ts";
import { type WordStep, wordSteps } from "./pre_tokenizers.ts";
import { type ModelJson, modelOf, type TokenModel } from "./token_model.ts";

/** The fields of tokenizer.json that are read. */
export interface TokenizerJson {
  model: ModelJson;
  added_tokens?: AddedToken[];
  normalizer?: Part | null;
  pre_tokenizer?: Part | null;
  post_processor?: Part | null;
  decoder?: Part | null;
  [key: string]: unknown;
}

/** The fields of tokenizer_config.json that are read here: `bos_token`, `eos_token` and relatives name tokens. */
export interface TokenizerConfig {
  [key: string]: unknown;
}

/** A language's token: eng_Latn as NLLB names it, __en__ as M2M-100 does. */
const LANGUAGE = /^(?:[a-z]{3}_[A-Z][a-z]{3}|__[a-z_]+__)$/;

/** The token among `languages` of a language, by the model's name for it or its FLORES code. */
export function languageToken(languages: readonly string[], code: string): string | undefined {
  if (languages.includes(code)) return code;
  // M2M-100's __en__ is eng_Latn.
  return languages.find((l) => l.startsWith("__") && findLanguage(l.slice(2, -2))?.flores === code);
}

/** Encodes and decodes. Holds the vocabulary; has no state between calls. */
export class TextTokenizer {
  /** An estimate of what this holds in host memory, for the ledger's `tokenizer` line. */
  readonly hostBytes: number;
  readonly unkId: number | undefined;
  /** Ids of the control tokens, by their text. */
  readonly specials: ReadonlyMap<string, number>;
  /** Texts of the tokens that tokenizer_config.json names: `bos_token`, `eos_token`, `pad_token` and others. */
  readonly named: Readonly<Record<string, string>>;
  /** Codes that have a token, as the model names them, in the vocabulary's order. */
  readonly languages: readonly string[];
  /** What transformers puts around a text that is no chat. */
  readonly frame: Frame;
  /** Whether text can be decoded token by token, as bytes. */
  readonly isByteLevel: boolean;
  readonly #model: TokenModel;
  readonly #added: AddedTokens;
  readonly #addedText = new Map<number, string>();
  readonly #addedId = new Map<string, number>();
  readonly #wordSteps: readonly WordStep[];
  readonly #pieceSteps: readonly PieceStep[];
  readonly #control: ReadonlySet<number>;

  /** @param model of `json.model`, where it was read already */
  constructor(json: TokenizerJson, config: TokenizerConfig = {}, model = modelOf(json.model)) {
    const added = json.added_tokens ?? [];
    for (const { id, content } of added) {
      this.#addedText.set(id, content);
      this.#addedId.set(content, id);
    }
    this.specials = new Map(added.filter((t) => t.special).map((t) => [t.content, t.id]));
    const normalizer = normalizerOf(json.normalizer ?? null);
    this.#added = new AddedTokens(added, normalizer.normalize);
    this.#wordSteps = wordSteps(json.pre_tokenizer ?? null);
    this.#pieceSteps = pieceSteps(json.decoder ?? null);
    this.isByteLevel = isByteLevel(this.#pieceSteps);
    this.frame = frameOf(json.post_processor ?? null);
    this.#model = model;
    this.unkId = model.unkId;
    this.#control = new Set(this.specials.values());
    this.named = namedTokens(config);
    if (this.named["eos_token"] !== undefined) this.#required(this.named["eos_token"]);
    this.languages = [...this.specials.keys()].filter((content) => LANGUAGE.test(content));
    this.hostBytes = model.hostBytes + normalizer.bytes;
  }

  /** The token that ends a text: the configuration's, else `</s>`. Throws `bad_input` where there is neither. */
  get eosId(): number {
    return this.#required(this.named["eos_token"] ?? "</s>");
  }

  /** The id of a token's exact text, or undefined. */
  tokenId(content: string): number | undefined {
    return this.#addedId.get(content) ?? this.#model.vocabulary.id(content);
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

  /**
   * Ids of `text` alone. Lone surrogates count as U+FFFD.
   *
   * @param options.special whether control tokens written in `text` are read as such, as in a rendered chat template;
   *   without it no id is a control token's, but for `<unk>`
   */
  encode(text: string, { special = false }: { special?: boolean } = {}): number[] {
    const ids: number[] = [];
    for (const section of this.#added.sections(text.toWellFormed(), special)) {
      if ("id" in section) ids.push(section.id);
      else for (const id of this.#idsOf(section.text, section.isFirst)) ids.push(id);
    }
    return ids;
  }

  #idsOf(text: string, isFirst: boolean): number[] {
    const words = this.#wordSteps.reduce((pieces, step) => step(pieces, isFirst), [text]);
    // A vocabulary whose merges happen to spell a control token must not let a user write one.
    return this.#model.ids(words).flatMap((id) =>
      id !== this.unkId && this.#control.has(id) ? this.#spelled(id) : id
    );
  }

  /** A control token's text as `<unk>`, or by its characters where there is no such token. */
  #spelled(control: number): number[] {
    if (this.unkId !== undefined) return [this.unkId];
    const token = this.#model.vocabulary.token(control) ?? "";
    const ids = [...token].map((character) => this.#model.vocabulary.id(character));
    return ids.filter((id) => id !== undefined && !this.#control.has(id)) as number[];
  }

  /** `text` as content of a prompt: `encode` with `special` gives no control token for what is written in it. */
  asContent(text: string): string {
    return this.#added.shield(text.toWellFormed());
  }

  /** Ids of a prompt that is no chat, as transformers makes them: control tokens are read, the model's own put around. */
  encodePrompt(text: string): number[] {
    const { before, after } = this.frame;
    return [...before, ...this.encode(text, { special: true }), ...after];
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
    const piece = this.#addedText.get(id) ?? this.#model.vocabulary.token(id);
    return piece !== undefined && this.specials.has(piece) ? undefined : piece;
  }
}

/**
 * Decodes ids one at a time into text that will not change: the parts joined equal `decode` of all ids.
 * What is not yet a whole character is kept back; so is a run of byte-fallback tokens until it ends, since one wrong
 * byte turns all of it into U+FFFD.
 */
export class StreamDecoder {
  readonly #ids: number[] = [];
  readonly #bytes: ByteLevelText | undefined;
  #sent = "";

  constructor(readonly tokenizer: TextTokenizer) {
    if (tokenizer.isByteLevel) this.#bytes = new ByteLevelText();
  }

  /** Takes the next id; returns the text that became certain, often "". */
  push(id: number): string {
    const piece = this.tokenizer.piece(id);
    if (piece === undefined) return "";
    if (this.#bytes) return this.#bytes.push(piece);
    this.#ids.push(id);
    return byteOf(piece) === undefined ? this.#rest() : "";
  }

  /** Returns what was kept back. */
  end(): string {
    return this.#bytes?.end() ?? this.#rest();
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

/**
 * Reads a parsed tokenizer.json, and tokenizer_config.json where there is one.
 *
 * @param model of it, where that was read already: then `json` has no vocabulary
 * @throws MoqeError
 */
export function loadTokenizer(
  json: unknown,
  config: unknown = {},
  model?: TokenModel,
): TextTokenizer {
  const vocab = (json as TokenizerJson | null)?.model?.vocab;
  if (model === undefined && (typeof vocab !== "object" || vocab === null)) {
    throw new MoqeError("bad_input", {
      action: "load the tokenizer",
      rule: "tokenizer.json must have a model with a vocabulary",
      remedy: "save it with transformers' save_pretrained from a fast tokenizer",
    });
  }
  return new TextTokenizer(json as TokenizerJson, (config ?? {}) as TokenizerConfig, model);
}

/** What the configuration's fields `..._token` name. */
function namedTokens(config: TokenizerConfig): Record<string, string> {
  const named: Record<string, string> = {};
  for (const [field, value] of Object.entries(config)) {
    const text = typeof value === "string"
      ? value
      : (value as { content?: unknown } | null)?.content;
    if (field.endsWith("_token") && typeof text === "string") named[field] = text;
  }
  return named;
}
