/**
 * Unicode normalization forms as the Python (Rust) library has them, in time linear in the text.
 *
 * Two things differ from `String.prototype.normalize`:
 * - The Rust library's tables are of Unicode 9: characters that got a decomposition or a combining class later
 *   pass through it untouched (found by comparing every code point, tokenizers 0.22 against V8 15).
 * - ICU takes time quadratic in a run of combining marks out of order: 100,000 of them took 2.6 s, a million 295 s.
 *   So text is cut where that changes nothing, and after LONGEST in any case.
 */

export type Form = "NFC" | "NFD" | "NFKC" | "NFKD";

/** Characters newer than the Rust library's tables, as hexadecimal ranges. */
const NEWER = `7fd 897-89f 8ca-8d3 9fe c3c d3b-d3c eba 1715 1abf-1ace 1df6-1dfa 32ff a7f2-a7f4
  a82c ab69 105c9 105d2 105da 105e4 10781-10785 10787-107b0 107b2-107ba 10d24-10d27
  10d69-10d6d 10eab-10eac 10efd-10eff 10f46-10f50 10f82-10f85 11070 1133b 11382-11385
  1138b 1138e 11390-11391 113b8 113bb 113c2 113c5 113c7-113c9 113ce-113d0 1145e
  11839-1183a 11930 11935 11938 1193d-1193e 11943 119e0 11a34 11a47 11a99 11d42
  11d44-11d45 11d97 11f41-11f42 1611e-16129 1612f 16d63 16d67-16d6a 16ff0-16ff1
  1ccd6-1ccf9 1e030-1e06d 1e08f 1e130-1e136 1e2ae 1e2ec-1e2ef 1e4ec-1e4ef 1e5ee-1e5ef
  1f16c 1fbf0-1fbf9`;

/** Captured by `split`, so that the odd parts are runs of newer characters. */
const NEWER_RUN = new RegExp(
  `([${NEWER.split(/\s+/).map((range) => range.replace(/[0-9a-f]+/g, "\\u{$&}")).join("")}]+)`,
  "u",
);

/** Characters that neither combine with nor reorder against what stands before them. */
const STARTER = /[\x20-\x7e\u3041-\u3096\u30a1-\u30fa\u4e00-\u9fff\uac00-\ud7a3]/;

/** Code units after which a cut is looked for, and made wherever it falls: beyond, marks may keep another order. */
const LONG = 4096, LONGEST = 10_240;

/** `text` in a Unicode normal form, by the tables that the Python library has. */
export function normalizeAs(text: string, form: Form): string {
  if (/^\p{ASCII}*$/u.test(text)) return text;
  const parts = text.split(NEWER_RUN);
  return parts.map((part, i) => i % 2 === 1 ? part : normalizeLong(part, form)).join("");
}

function normalizeLong(text: string, form: Form): string {
  if (text.length <= LONG) return text.normalize(form);
  let out = "", start = 0;
  while (start < text.length) {
    let end = Math.min(start + LONG, text.length);
    while (end < text.length && end - start < LONGEST && !STARTER.test(text[end]!)) end++;
    if (end < text.length && isLowSurrogate(text.charCodeAt(end))) end++;
    out += text.slice(start, end).normalize(form);
    start = end;
  }
  return out;
}

function isLowSurrogate(unit: number): boolean {
  return unit >= 0xdc00 && unit < 0xe000;
}
