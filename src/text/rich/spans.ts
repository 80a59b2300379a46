/** Finds what must be kept to the byte in a text: placeholders, addresses, code, tags, numbers. Linear in the text. */
import type { SpanKind } from "../documents/contract.ts";

/** A range of a text, in UTF-16 units. */
export interface FoundSpan {
  readonly start: number;
  readonly end: number;
  readonly kind: SpanKind;
}

/*
 * Every alternative either begins at a character that it alone takes, or is bounded, or looks behind so that it can
 * begin only once in a run: no text makes the scan quadratic.
 */
const URL_PART =
  /(?:\b(?:https?|ftps?|file|ssh|git|ircs?|wss?):\/\/|\b(?:mailto|tel|urn|xmpp):|\bwww\.)[^\s<>"`|\\^]+/;
const EMAIL_PART =
  /(?<![\w.+%-])[\w.+%-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9-]{0,63}\.)+[A-Za-z]{2,24}(?![\w-])/;
/** `code`, ``code``. */
const CODE_PART = /``(?:[^`\n]|`(?!`)){1,400}``|`[^`\n]{1,400}`/;
/** Options and paths of command lines. */
const COMMAND_PART =
  /(?<![\w-])--[A-Za-z][\w-]*|(?<![\w/.~])(?:~|\.{1,2})?(?:\/[\w.@+-]*[\w@+-]){2,}\/?/;
/** Tags, templates' tags, entities. */
const TAG_PART =
  /<%[^%\n]{0,200}%>|<\/?[A-Za-z][^<>]{0,1000}>|<!--[^<>]{0,1000}-->|<\d[\d:.]{0,20}>|&(?:#\d{1,7}|#[xX][\da-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});/;
const BRACE_PART =
  /\{%[^%\n]{0,200}%\}|\{\\[^{}\n]{1,100}\}|[$#%@]?\{\{\{?[^{}\n]{0,200}\}\}\}?|[$#%]\{[^{}\n]{0,200}\}|\{\s{0,4}[$@]?[\w.$@-]{0,100}\s{0,4}(?:[,:!][^{}\n]{0,100})?\}/;
const PRINTF_PART =
  /%%|%\([^()\s]{1,100}\)[-+#0]{0,5}\d{0,4}(?:\.\d{1,4})?[a-zA-Z]|%[A-Za-z_][\w.-]{1,60}%|%(?:\d{1,2}\$)?[-+#0']*(?:\*|\d{1,4})?(?:\.(?:\*|\d{1,4}))?(?:hh|h|ll|l|L|q|j|z|t|I64|I32)?[diouxXeEfFgGaAcCsSpn@]|%L?\d{1,2}(?![\d$])/;
const VARIABLE_PART = /\$t\([^()\n]{1,200}\)|\$[A-Za-z_]\w{0,60}\$?|\\[nrt"'\\]/;
/** Thousands may be apart by spaces that do not break, and by apostrophes: 10 000, 1'234'567. */
const AMOUNT = /\p{Nd}+(?:[.,:/-]\p{Nd}+|[\u00a0\u202f\u2009'’]\p{Nd}{3}(?!\p{Nd}))*/u;

const NUMBER_PART = new RegExp(`(?<![\\p{L}\\p{N}_])${AMOUNT.source}`, "u");

/** Beyond ASCII: signs of currencies, with their amounts, arrows, marks, emoji. */
const SYMBOL = /(?!\p{ASCII})[\p{So}\p{Sm}\p{Sc}\p{Extended_Pictographic}]/u;
const CURRENCY = /(?!\p{ASCII})\p{Sc}/u;
const SYMBOL_PART = new RegExp(
  `${CURRENCY.source}[ \u00a0\u202f]?${AMOUNT.source}|` +
    `${NUMBER_PART.source}[ \u00a0\u202f]?${CURRENCY.source}|` +
    `(?:${SYMBOL.source}[\\ufe0f\\u200d\\u20e3\\p{Emoji_Modifier}]*)+`,
  "u",
);

const KINDS: readonly [SpanKind, RegExp][] = [
  ["url", URL_PART],
  ["email", EMAIL_PART],
  ["code", CODE_PART],
  ["code", COMMAND_PART],
  ["tag", TAG_PART],
  ["placeholder", BRACE_PART],
  ["placeholder", PRINTF_PART],
  ["placeholder", VARIABLE_PART],
  ["symbol", SYMBOL_PART],
  ["number", NUMBER_PART],
];

const ALL = new RegExp(KINDS.map(([, part], i) => `(?<k${i}>${part.source})`).join("|"), "gu");

/** Spans of `text` in order; they do not overlap. */
export function findSpans(text: string): FoundSpan[] {
  const spans: FoundSpan[] = [];
  for (const match of text.matchAll(ALL)) {
    const i = KINDS.findIndex((_, k) => match.groups![`k${k}`] !== undefined);
    const kind = KINDS[i]![0];
    const found = kind === "url" ? trimUrl(match[0]) : match[0];
    if (found !== "") spans.push({ start: match.index, end: match.index + found.length, kind });
  }
  return spans;
}

/** An address without the punctuation of the sentence behind it; a bracket stays if it was opened inside. */
function trimUrl(url: string): string {
  let end = url.length;
  const count = (text: string, c: string) => text.split(c).length - 1;
  const opened = { ")": count(url, "("), "]": count(url, "["), "}": count(url, "{") };
  const closed = { ")": count(url, ")"), "]": count(url, "]"), "}": count(url, "}") };
  while (end > 0) {
    const last = url[end - 1]!;
    if (last in opened) {
      const bracket = last as keyof typeof opened;
      if (closed[bracket] <= opened[bracket]) break;
      closed[bracket]--;
    } else if (!/[.,;:!?'*_»”’…]/.test(last)) break;
    end--;
  }
  return url.slice(0, end);
}

/** An unnumbered printf argument: its meaning is its place among the others. */
export function isOrdered(span: string): boolean {
  return /^%(?![%(])(?!\d+\$)(?!L?\d{1,2}$).*[a-zA-Z@]$/.test(span) && !/^%[\w.-]+%$/.test(span) ||
    /^\{\}$/.test(span);
}
