/** What a translation must not bring in: control characters, placeholders, tags and addresses that the source lacks. */
import { findSpans } from "./spans.ts";

/** Characters that are syntax somewhere: a translation has no more of each than its source. */
const SYNTAX = /[%{}<>`$\\|[\]&*_~#^]/g;

/** How many of each syntax character a text has. */
export type Syntax = ReadonlyMap<string, number>;

/** The syntax characters that a translation of `text` may have. */
export function allowance(text: string): Syntax {
  const counts = new Map<string, number>();
  for (const [c] of text.matchAll(SYNTAX)) counts.set(c, (counts.get(c) ?? 0) + 1);
  return counts;
}

/** A model's output as text: no control characters or line breaks, no lone surrogates. */
export function clean(translation: string): string {
  return translation.replace(/[\p{Cc}\p{Cs}\u2028\u2029\ufffc-\uffff]+/gu, " ").trim();
}

/** Whether `text`, what is around the spans of a translation, has no span and no more syntax than allowed. */
export function isFaithful(text: string, allowed: Syntax): boolean {
  for (const [c, count] of allowance(text)) {
    if (count > (allowed.get(c) ?? 0)) return false;
  }
  return findSpans(text).every((s) => s.kind === "number" || s.kind === "symbol");
}

/** A piece's translation without what it must not have; the source where nothing is left. */
export function scrub(translation: string, source: string): string {
  const allowed = allowance(source);
  if (hasText(translation) && isFaithful(translation, allowed)) return translation;
  let out = "", at = 0;
  for (const { start, end, kind } of findSpans(translation)) {
    out += translation.slice(at, start) +
      (kind === "number" || kind === "symbol" ? translation.slice(start, end) : " ");
    at = end;
  }
  out = (out + translation.slice(at)).replace(SYNTAX, (c) => allowed.has(c) ? c : "")
    .replace(/\s+/g, " ").trim();
  return hasText(out) && isFaithful(out, allowed) ? out : source;
}

function hasText(text: string): boolean {
  return /\p{L}/u.test(text);
}
