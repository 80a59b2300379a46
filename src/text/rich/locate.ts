/** Finds kept spans in a translation; what a model spaced or cased otherwise is put right. */
import type { Placed, Translated } from "./attempts.ts";
import type { KeptSpan } from "./view.ts";

/** A place in a translation that shows one of the spans of a group. */
interface Place {
  readonly start: number;
  readonly end: number;
}

/**
 * The translation with every span in it, or undefined where they are not all there as often as they must. Spans that
 * read alike are taken in order.
 */
export function locate(text: string, spans: readonly KeptSpan[]): Translated | undefined {
  if (spans.length === 0) return { text, spans: [] };
  const groups = new Map<string, KeptSpan[]>();
  for (const span of spans) {
    const group = groups.get(span.wanted);
    if (group === undefined) groups.set(span.wanted, [span]);
    else group.push(span);
  }
  const taken: Place[] = [], placed: Placed[] = [];
  const isFree = (p: Place) => taken.every((t) => t.end <= p.start || p.end <= t.start);
  // Longer ones first: {name} may be part of another.
  for (const group of [...groups.values()].sort(byLength)) {
    const places = findGroup(text, group, isFree);
    if (places === undefined) return undefined;
    taken.push(...places);
    for (const [i, span] of group.entries()) placed.push({ ...places[i]!, span });
  }
  placed.sort((a, b) => a.start - b.start);
  return righted(text, placed);
}

function byLength(a: readonly KeptSpan[], b: readonly KeptSpan[]): number {
  return b[0]!.wanted.length - a[0]!.wanted.length;
}

/** Places of one wanted text, as many as there are spans; first as it is written, then as a model may have bent it. */
function findGroup(
  text: string,
  group: readonly KeptSpan[],
  isFree: (p: Place) => boolean,
): Place[] | undefined {
  for (const pattern of [exact(group[0]!), bent(group[0]!)]) {
    const places = [...text.matchAll(pattern)]
      .map((m) => ({ start: m.index, end: m.index + m[0].length }))
      .filter(isFree);
    if (places.length === group.length) return places;
    // A translation may use a glossary's word more often than it must.
    if (group[0]!.kind === "term" && places.length > group.length) {
      return places.slice(0, group.length);
    }
  }
  return undefined;
}

function exact({ wanted, kind }: KeptSpan): RegExp {
  return bounded(escapeRegExp(wanted), wanted, kind, "gu");
}

/** Spaces between any characters and another case; a number's separators are any. */
function bent({ wanted, kind }: KeptSpan): RegExp {
  if (kind === "number") {
    const digits = wanted.split(/\P{N}+/u).join("[.,:/'’\u00a0\u202f\u2009 -]?");
    return bounded(digits, wanted, kind, "gu");
  }
  if (kind === "term") return bounded(escapeRegExp(wanted), wanted, kind, "giu");
  const spaced = [...wanted].filter((c) => !/\s/.test(c)).map(escapeRegExp).join("\\s?");
  return bounded(spaced, wanted, kind, "giu");
}

function bounded(source: string, wanted: string, kind: KeptSpan["kind"], flags: string): RegExp {
  if (kind === "number") {
    return new RegExp(`(?<![\\p{L}\\p{N}_])(?<!\\p{N}[.,:/-])${source}(?![.,:/-]?\\p{N})`, flags);
  }
  const [first, last] = [wanted.at(0)!, wanted.at(-1)!];
  if (kind === "term") {
    const before = SPACED.test(first) ? "(?<![\\p{L}\\p{N}_])" : "";
    const after = SPACED.test(last) ? "(?![\\p{L}\\p{N}_])" : "";
    return new RegExp(before + source + after, flags);
  }
  // $name is no part of $names, %1 none of %10; %d may stand before a letter.
  const goesOn = /\w/.test(last) && !/^%[^\d(]*[a-zA-Z]$/.test(wanted) || /\d/.test(last);
  // Behind a letter an address or an option would be none.
  const alone = kind === "url" || kind === "email" || kind === "code" && first !== "`";
  const after = kind === "url"
    ? URL_END
    : kind === "email"
    ? "(?![\\w-]|\\.\\w)"
    : goesOn
    ? "(?!\\w)"
    : "";
  return new RegExp((alone ? "(?<!\\w)" : "") + source + after, flags);
}

/** Behind an address: a sentence's punctuation, then what is no part of an address. */
const URL_END = "(?=[.,;:!?'*_»”’…)\\]}]*(?:[\\s<>\"`|\\\\^]|$))";

/** A letter or digit of a script that writes spaces. */
const SPACED =
  /(?=[\p{L}\p{N}_])[^\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}\p{Script=Lao}\p{Script=Khmer}\p{Script=Myanmar}]/u;

function escapeRegExp(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&");
}

/** The text with every span to the letter. */
function righted(text: string, placed: readonly Placed[]): Translated {
  let out = "", at = 0;
  const spans: Placed[] = [];
  for (const { start, end, span } of placed) {
    out += text.slice(at, start);
    spans.push({ start: out.length, end: out.length + span.wanted.length, span });
    out += span.wanted;
    at = end;
  }
  return { text: out + text.slice(at), spans };
}
