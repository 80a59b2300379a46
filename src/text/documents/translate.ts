/** Translates documents: a reader for each format makes parts, their texts are translated, the rest is kept to the byte. */
import { MoqeError } from "../../base/errors.ts";
import { formatBytes } from "../../base/units.ts";
import { translateMarkupCounted } from "../markup/translate.ts";
import { countCharacters, translateSegments } from "../rich/translate.ts";
import { writtenAsDeclared } from "./charset.ts";
import {
  DOCUMENT_FORMATS,
  DOCUMENT_MEMORY,
  type DocumentFormat,
  type DocumentOptions,
  type TranslatedDocument,
  type TranslateTexts,
} from "./contract.ts";
import { jsonParts } from "./json.ts";
import { markdownParts } from "./markdown.ts";
import { followHeadings } from "./markdown_headings.ts";
import { type DocumentPart, withLineFeeds } from "./parts.ts";
import { poParts } from "./po.ts";
import { subtitleParts } from "./subtitles.ts";
import { textParts } from "./text.ts";

/** Memory that a document may take where nothing is said. */
const MEMORY = 256 * 2 ** 20;

/** How long a document of a format may be to take so much memory. */
export function longestDocument(format: DocumentFormat, memoryBytes: number): number {
  return Math.floor(memoryBytes / DOCUMENT_MEMORY[format]);
}

type PartFormat = Exclude<DocumentFormat, "html" | "xml">;

const READERS: Record<PartFormat, (text: string, options: DocumentOptions) => DocumentPart[]> = {
  text: textParts,
  markdown: (text, options) => withLineFeeds(text, (lines) => markdownParts(lines, options)),
  po: poParts,
  json: jsonParts,
  srt: (text) => subtitleParts(text, "srt"),
  vtt: (text) => subtitleParts(text, "vtt"),
};

const EXTENSIONS: Readonly<Record<string, DocumentFormat>> = {
  txt: "text",
  text: "text",
  md: "markdown",
  markdown: "markdown",
  mdown: "markdown",
  html: "html",
  htm: "html",
  xhtml: "html",
  xml: "xml",
  po: "po",
  pot: "po",
  json: "json",
  jsonc: "json",
  arb: "json",
  srt: "srt",
  vtt: "vtt",
};

/** Endings of file names that have a format, without the dot. */
export const DOCUMENT_EXTENSIONS: readonly string[] = Object.keys(EXTENSIONS);

/** The format that a file's name says; undefined where it says none. */
export function formatOfName(name: string): DocumentFormat | undefined {
  const extension = /\.([A-Za-z]+)$/.exec(name)?.[1]?.toLowerCase();
  return extension === undefined ? undefined : EXTENSIONS[extension];
}

/**
 * Translates a document. Throws MoqeError: `too_large` over `maxBytes`; `bad_input` for bytes that are no UTF-8 or not
 * of the format; and whatever `translateTexts` throws.
 */
export async function translateDocument(
  bytes: Uint8Array,
  format: DocumentFormat,
  translateTexts: TranslateTexts,
  options: DocumentOptions,
): Promise<TranslatedDocument> {
  const text = readText(bytes, options.maxBytes ?? longestDocument(format, MEMORY));
  const isPage = format === "html" || format === "xml";
  const { text: out, characters } = isPage
    // Lines of a document's paragraphs are where an editor broke them.
    ? await translateMarkupCounted(text, format, translateTexts, {
      ...options,
      splitSentences: options.splitSentences ?? "nonewlines",
    })
    : await translateParts(READERS[format](text, options), translateTexts, options);
  const written = isPage
    ? writtenAsDeclared(out, text)
    : format === "markdown"
    ? followHeadings(text, out)
    : out;
  return { bytes: new TextEncoder().encode(written), characters };
}

async function translateParts(
  parts: readonly DocumentPart[],
  translateTexts: TranslateTexts,
  options: DocumentOptions,
): Promise<{ text: string; characters: number }> {
  const segments = parts.flatMap((p) => typeof p === "string" ? [] : [p.segment]);
  const written = await translateSegments(segments, translateTexts, options);
  let next = 0;
  const text = parts.map((part) => {
    if (typeof part === "string") return part;
    const out = written[next++]!;
    return out === part.text ? part.source : part.encode(out);
  }).join("");
  return { text, characters: countCharacters(segments) };
}

function readText(bytes: Uint8Array, maxBytes: number): string {
  if (bytes.length > maxBytes) {
    throw new MoqeError("too_large", {
      action: "translate the document",
      rule: `it may have ${formatBytes(maxBytes)} at most`,
      observed: formatBytes(bytes.length),
      remedy: "divide it: it is in memory as a whole",
    });
  }
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new MoqeError("bad_input", {
      action: "read the document",
      rule: "it must be in UTF-8",
      remedy: "convert it: iconv -f ENCODING -t UTF-8",
    });
  }
}

/** The format of that name. Throws MoqeError `bad_input` with those there are. */
export function formatNamed(name: string): DocumentFormat {
  const found = DOCUMENT_FORMATS.find((f) => f === name.toLowerCase()) ??
    EXTENSIONS[name.toLowerCase()];
  if (found !== undefined) return found;
  throw new MoqeError("bad_input", {
    action: "translate the document",
    rule: `its format must be one of ${DOCUMENT_FORMATS.join(", ")}`,
    observed: JSON.stringify(name.slice(0, 40)),
  });
}
