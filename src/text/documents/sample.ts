/** The words of a document by which its language is detected: without what programs read, and without translations. */
import { visibleText } from "../markup/visible.ts";
import type { DocumentFormat } from "./contract.ts";

/** Words that are enough. */
const ENOUGH = 8192;

/** One text's strings in a catalogue's source language. */
const MESSAGE = /^[ \t]*msgid(?:_plural)?[ \t]*((?:"[^"\\\r\n]*(?:\\.[^"\\\r\n]*)*"\s*)+)/gm;
/** A name of a JSON object's value. */
const KEY = /"[^"\\\r\n]*(?:\\.[^"\\\r\n]*)*"\s*:/g;

/** The words at the beginning of a document of a format. */
export function sampleOf(text: string, format: DocumentFormat): string {
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
