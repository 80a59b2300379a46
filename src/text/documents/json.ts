/** JSON: texts are the string values; keys, numbers, order and layout stay. Comments (JSONC) are taken, too. */
import { createScanner, type ParseError, printParseErrorCode, visit } from "jsonc-parser";
import { MoqeError } from "../../base/errors.ts";
import { stringSegment } from "../strings.ts";
import type { DocumentOptions } from "./contract.ts";
import type { DocumentPart } from "./parts.ts";

const MAX_DEPTH = 200;
/** The scanner's SyntaxKind.EOF, which is a type only. */
const END_OF_FILE = 17;

/** The parts of a JSON text. Throws MoqeError `bad_input` where it is none. */
export function jsonParts(text: string, options: DocumentOptions): DocumentPart[] {
  checkDepth(text);
  const parts: DocumentPart[] = [];
  const wants = keyFilter(options);
  let at = 0;
  const body = text.startsWith("\ufeff") ? ` ${text.slice(1)}` : text;
  const fault = (error: ParseError["error"], offset: number): never => {
    const before = text.slice(0, offset).split("\n");
    throw new MoqeError("bad_input", {
      action: "read the JSON",
      rule: `line ${before.length}, column ${before.at(-1)!.length + 1}: ${
        printParseErrorCode(error)
      }`,
    });
  };
  visit(body, {
    onError: (error, offset) => fault(error, offset),
    onLiteralValue(value, offset, length, _line, _column, path) {
      if (typeof value !== "string" || isIdentifier(value) || !wants(path())) return;
      parts.push(text.slice(at, offset), {
        segment: stringSegment(value, options.splitSentences ?? "on"),
        source: text.slice(offset, offset + length),
        text: value,
        encode: (out) => JSON.stringify(out),
      });
      at = offset + length;
    },
  }, { allowTrailingComma: true, disallowComments: false, allowEmptyContent: false });
  return [...parts, text.slice(at)];
}

/** The parser calls itself for what is inside of what: its depth is bounded first. */
function checkDepth(text: string): void {
  const scanner = createScanner(text, true);
  let depth = 0;
  while (scanner.scan() !== END_OF_FILE) {
    if (scanner.getTokenLength() !== 1) continue;
    const c = text[scanner.getTokenOffset()];
    if (c === "{" || c === "[") depth++;
    if (c === "}" || c === "]") depth--;
    if (depth > MAX_DEPTH) {
      throw new MoqeError("bad_input", {
        action: "read the JSON",
        rule: `values may be nested ${MAX_DEPTH} deep`,
      });
    }
  }
}

/** A value that programs read: some_name, someName, a.b.c, #fff, en-US, a date. */
function isIdentifier(value: string): boolean {
  if (/\s/.test(value)) return false;
  // One expression with the inner _ or . in its middle would try every one of a long row of them.
  const isDotted = /^[A-Za-z][\w$.-]*\w$/.test(value) && /[_.]/.test(value.slice(1, -1));
  return isDotted || /^#[\da-fA-F]{3,8}$/.test(value) ||
    /^[a-z]+(?:[A-Z][a-z\d]*)+$/.test(value) ||
    /^[a-z]{2,3}(?:[-_][A-Z]{2}|[-_][A-Z][a-z]{3})+$/.test(value) ||
    /^[@./][\w./@-]+$/.test(value) || /^[A-Z\d]+(?:_[A-Z\d]+)+$/.test(value);
}

/** Whether the value at a path is translated. A pattern is a key, or a path in which * is any key. */
function keyFilter(options: DocumentOptions): (path: readonly (string | number)[]) => boolean {
  const matches = (patterns: readonly string[]) => {
    const split = patterns.map((p) => p.split("."));
    const goesAlong = (path: readonly (string | number)[], p: readonly string[]) =>
      p.length > 1 && p.length <= path.length &&
      p.every((key, i) => key === "*" || String(path[i]) === key);
    // Flat files have keys with dots: "app.name" is such a key, or name in app.
    return (path: readonly (string | number)[]) =>
      path.some((key) => typeof key === "string" && patterns.includes(key)) ||
      split.some((p) => goesAlong(path, p));
  };
  const { jsonKeys, jsonKeptKeys = [] } = options;
  const wanted = jsonKeys === undefined || jsonKeys.length === 0 ? () => true : matches(jsonKeys);
  const kept = matches(jsonKeptKeys);
  // Keys that begin with @ describe others in Flutter's and Chrome's message files.
  return (path) => wanted(path) && !kept(path) && !path.some((k) => String(k).startsWith("@"));
}
