/** The words of a document by which its language is detected: without what programs read, and without translations. */
import { visibleText } from "../markup/visible.ts";
import type { DocumentFormat } from "./contract.ts";

/** Words that are enough. */
const ENOUGH = 8192;

/** One text's strings in a catalogue's source language. */
const MESSAGE = /^[ \t]*msgid(?:_plural)?[ \t]*((?:"[^"\\\r\n]*(?:\\.[^"\\\r\n]*)*"\s*)+)/gm;
/** A name of a JSON object's value. */
const KEY = /"[^"\\\r\n]*(?:\\.[^"\\\r\n]*)*"\s*:/g;

/** How much of a document is looked at: behind the styles and comments that some begin with. */
const SAMPLE_BYTES = 256 * 1024;

/** The words at the beginning of a document of a format, as text or its bytes in UTF-8. */
export function sampleOf(document: string | Uint8Array, format: DocumentFormat): string {
  const text = typeof document === "string"
    ? document
    : new TextDecoder().decode(document.subarray(0, SAMPLE_BYTES));
  if (format === "html" || format === "xml") return visibleText(text, ENOUGH);
  if (format === "json") return text.slice(0, ENOUGH).replace(KEY, " ");
  if (format !== "po") return text.slice(0, ENOUGH);
  let words = "";
  for (const [, strings] of text.matchAll(MESSAGE)) {
    words += `${strings!.replaceAll('"', " ")}\n`;
    if (words.length > ENOUGH) break;
  }
  return words;
}
