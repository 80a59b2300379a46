/** Words of a sentence for alignment: letters and digits run together, kept spans are one word each. */
import type { KeptSpan } from "./view.ts";

/** A word with its place. */
export interface Word {
  readonly start: number;
  readonly end: number;
  /** In lower case; what words are compared by. */
  readonly key: string;
  readonly span: KeptSpan | undefined;
}

/** A character of a script without spaces is a word of its own. */
const WORD =
  /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}\p{Script=Lao}\p{Script=Khmer}\p{Script=Myanmar}]\p{M}*|(?:(?![\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}\p{Script=Lao}\p{Script=Khmer}\p{Script=Myanmar}])[\p{L}\p{N}\p{M}_])+/gu;

/** Words of `text` in order. Spans are in order too. */
export function wordsOf(
  text: string,
  spans: readonly { start: number; end: number; span: KeptSpan }[],
): Word[] {
  const words: Word[] = [];
  let at = 0;
  const plain = (end: number) => {
    for (const m of text.slice(at, end).matchAll(WORD)) {
      const start = at + m.index;
      words.push({ start, end: start + m[0].length, key: m[0].toLowerCase(), span: undefined });
    }
  };
  for (const { start, end, span } of spans) {
    plain(start);
    words.push({ start, end, key: "", span });
    at = end;
  }
  plain(text.length);
  return words;
}

/** Whether two words are one in two forms: equal, or alike at the beginning. */
export function alike(a: string, b: string): boolean {
  if (a === b) return true;
  const shorter = Math.min(a.length, b.length), longer = Math.max(a.length, b.length);
  if (shorter < 4) return false;
  let common = 0;
  while (common < shorter && a[common] === b[common]) common++;
  return common >= 4 && common >= 0.6 * longer;
}
