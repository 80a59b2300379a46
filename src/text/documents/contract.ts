/**
 * What callers of the text layer (HTTP routes, `moqe translate FILE`) and its parts agree on.
 *
 * The functions behind these types, each of which needs nothing of the engine but a TranslateTexts:
 * - `translateStrings(texts, translateTexts, options)` in strings.ts: plain texts, placeholders and terms kept;
 * - `translateMarkup(text, "html" | "xml", translateTexts, options)` in markup/translate.ts;
 * - `translateDocument(bytes, format, translateTexts, options)` and `formatOfName(name)` in documents/translate.ts;
 * - `detectLanguage(text, candidates?)` in detect.ts;
 * - `readGlossary(entries)` and `parseGlossary(text, "tsv" | "csv")` in glossary.ts.
 *
 * What is promised whatever the translations are (a translator that drops, repeats and reorders words included):
 * - everything that is no text to translate is in the output as it was, to the byte; but a link to a heading of its own
 *   Markdown document, which is called by its words, follows these;
 * - markup is as well nested as the input was, every tag is there once, in the element that it was in;
 * - protected spans (SpanKind) are there as often as in the input, to the byte; unnumbered printf arguments in order;
 * - glossary terms are there.
 * Where a translation cannot be made to hold them, the text around them is translated piece by piece; where even that
 * fails, the source text stands.
 */

/**
 * Translates texts, one answer each, in order. Every text is one sentence, or is to be treated as one; it has no line
 * break. Rejects when `signal` aborts. Called with bounded batches, one call at a time.
 */
export type TranslateTexts = (
  texts: readonly string[],
  signal: AbortSignal | undefined,
) => Promise<readonly string[]>;

/**
 * Where sentences end, as DeepL's split_sentences has it: "off" (0) nowhere, a text is one sentence; "on" (1) at
 * punctuation and at line breaks; "nonewlines" at punctuation only, a line break is a space.
 */
export type SplitSentences = "off" | "on" | "nonewlines";

/** What is kept to the byte inside a text. */
export type SpanKind =
  /** {{name}}, ${name}, {0}, {name}, %(name)s, %s, %1$d, ICU arguments without sub-messages, $NAME$. */
  | "placeholder"
  | "url"
  | "email"
  /** `code` in back-ticks. */
  | "code"
  /** A <tag> in a text that is no markup. */
  | "tag"
  | "number"
  /** €, ✓, emoji, with an amount beside it: £5. Many models have no token for them. */
  | "symbol"
  /** What a format marks as not to be translated. */
  | "kept"
  /** A term of the glossary. */
  | "term";

/** One term and what it must become. */
export interface GlossaryEntry {
  readonly source: string;
  readonly target: string;
}

/** Terms of one pair of languages. Made by readGlossary, which checks it. */
export interface Glossary {
  readonly entries: readonly GlossaryEntry[];
}

/** What every translation of this layer takes. */
export interface TextOptions {
  /** The text's language and the translation's, by any code that findLanguage knows. */
  readonly source: string;
  readonly target: string;
  /** "on" unless given; markup in HTML has "nonewlines". */
  readonly splitSentences?: SplitSentences | undefined;
  readonly glossary?: Glossary | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Called when a batch is done: sentences translated so far, and all. */
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
}

export type MarkupKind = "html" | "xml";

/** DeepL's tag handling. Tag names are compared as written in XML, in lower case in HTML. */
export interface MarkupOptions extends TextOptions {
  /** XML: elements with text beside them are inline, others end a sentence (on unless false). */
  readonly outlineDetection?: boolean | undefined;
  /** Elements that always end a sentence. */
  readonly splittingTags?: readonly string[] | undefined;
  /** Elements that never do. */
  readonly nonSplittingTags?: readonly string[] | undefined;
  /** Elements whose content is kept as it is. */
  readonly ignoreTags?: readonly string[] | undefined;
  /** HTML: alt, title, placeholder and their like are translated (unless false). */
  readonly translateAttributes?: boolean | undefined;
}

export const DOCUMENT_FORMATS = [
  "text",
  "markdown",
  "html",
  "xml",
  "po",
  "json",
  "srt",
  "vtt",
] as const;

export type DocumentFormat = (typeof DOCUMENT_FORMATS)[number];

/** Bytes of memory that a byte of a document takes at most while it is translated; measured, rounded up. */
export const DOCUMENT_MEMORY: Readonly<Record<DocumentFormat, number>> = {
  text: 25,
  markdown: 90,
  html: 65,
  xml: 65,
  po: 40,
  json: 45,
  srt: 25,
  vtt: 25,
};

/** What a document's translation takes besides. */
export interface DocumentOptions extends MarkupOptions {
  /** JSON: only values under these keys (a key, or a path such as app.menu.*), all unless given. */
  readonly jsonKeys?: readonly string[] | undefined;
  /** JSON: values under these keys are kept. */
  readonly jsonKeptKeys?: readonly string[] | undefined;
  /** gettext: new translations are marked fuzzy. */
  readonly poFuzzy?: boolean | undefined;
  /** Longer documents are refused: `too_large`. What DOCUMENT_MEMORY gives for 256 MiB unless given. */
  readonly maxBytes?: number | undefined;
}

/** A translated document. */
export interface TranslatedDocument {
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Characters (code points) of text that were translated, for quotas. */
  readonly characters: number;
}

/** A guess, best first; the confidences of one text sum to at most 1. */
export interface DetectedLanguage {
  /** FLORES code: deu_Latn. */
  readonly flores: string;
  /** The code that answers use: de. */
  readonly code: string;
  /** 0 to 1. */
  readonly confidence: number;
}
