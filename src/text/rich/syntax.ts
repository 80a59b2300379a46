/** What a translation must not bring in: control characters, placeholders, tags and addresses that the source lacks. */
import { findSpans, type FoundSpan } from "./spans.ts";

/** Characters that are syntax somewhere: a translation has no more of each than its source. */
const SYNTAX = /[%{}<>`$\\|[\]&*_~#^]/g;

/** How many of each syntax character a text has, and the spans that are in it. */
export interface Syntax {
  readonly marks: ReadonlyMap<string, number>;
  readonly spans: ReadonlySet<string>;
}

/** The syntax that a translation of `text` may have. A span of it that goes over a tag is none to keep, but no fault. */
export function allowance(text: string): Syntax {
  const spans = new Set(findSpans(text).map(({ start, end }) => text.slice(start, end)));
  return { marks: marksOf(text), spans };
}

function marksOf(text: string): Map<string, number> {
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
  for (const [c, count] of marksOf(text)) {
    if (count > (allowed.marks.get(c) ?? 0)) return false;
  }
  return findSpans(text).every((span) => mayStand(span, text, allowed));
}

/** Numbers and symbols are a language's own, too. */
function mayStand({ kind, start, end }: FoundSpan, text: string, { spans }: Syntax): boolean {
  return kind === "number" || kind === "symbol" || spans.has(text.slice(start, end));
}

/** A piece's translation without what it must not have; the source where nothing is left. */
export function scrub(translation: string, source: string): string {
  const allowed = allowance(source);
  if (hasText(translation) && isFaithful(translation, allowed)) return translation;
  let out = "", at = 0;
  for (const span of findSpans(translation)) {
    const { start, end } = span;
    const kept = mayStand(span, translation, allowed) ? translation.slice(start, end) : " ";
    out += translation.slice(at, start) + kept;
    at = end;
  }
  out = (out + translation.slice(at)).replace(SYNTAX, (c) => allowed.marks.has(c) ? c : "")
    .replace(/\s+/g, " ").trim();
  return hasText(out) && isFaithful(out, allowed) ? out : source;
}

function hasText(text: string): boolean {
  return /\p{L}/u.test(text);
}
