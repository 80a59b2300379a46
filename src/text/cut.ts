/** Cuts a sentence that is too long for the model: at clause punctuation, else at spaces, else between code points. */

/** What a piece of text must not exceed. */
export interface PieceLimit {
  /** Most tokens of a sentence, language and end tokens not counted. */
  maxTokens: number;
  /** Most UTF-16 units, asked before `countTokens`: it bounds what the tokenizer is given at once. */
  maxChars: number;
  countTokens(text: string): number;
}

/** Behind one of these, what closes, and a space a clause ends; behind those of scripts without spaces at once. */
const CLAUSE = /[,;:)\]»”،؛、。!?；：，！？…—–]/u, UNSPACED = /[、。；：，！？…—–]/u;
const CLOSING = /[\p{Pe}\p{Pf}"']/u;
const SPACE = /\s/u;

/** A cut at a clause is preferred if it leaves at least this share of what fits. */
const LEAST_SHARE = 0.3;

/** Pieces of `sentence` in order, all of it, spaces included; each fits unless it is a single code point. */
export function* cutToFit(sentence: string, limit: PieceLimit): Generator<string> {
  let rest = sentence;
  while (rest !== "") {
    const end = fits(rest, limit) ? rest.length : cutPoint(rest, limit);
    yield rest.slice(0, end);
    rest = rest.slice(end);
  }
}

function fits(text: string, limit: PieceLimit): boolean {
  return text.length <= limit.maxChars && limit.countTokens(text.trim()) <= limit.maxTokens;
}

/** Where `text`, which does not fit, is cut: greater than 0, never inside a surrogate pair. */
function cutPoint(text: string, limit: PieceLimit): number {
  const most = longestThatFits(text, codePointEnds(text, limit.maxChars), limit);
  const window = text.slice(0, most);
  const clause = lastClauseEnd(window);
  if (clause >= most * LEAST_SHARE) return clause;
  const space = lastSpaceEnd(window);
  // The space may stand just behind what fits.
  if (/^\s/u.test(text.slice(most))) return most;
  // Spaces in front are no cut: they would leave an empty piece for ever.
  return space > 0 && window.slice(0, space).trim() !== "" ? space : most;
}

/** The last position behind a clause and the spaces that follow it, or 0. One pass, whatever marks there are. */
function lastClauseEnd(text: string): number {
  let end = 0, isBehind = false;
  for (let at = 0; at < text.length; at++) {
    const c = text[at]!;
    if (isBehind && SPACE.test(c)) {
      while (at + 1 < text.length && SPACE.test(text[at + 1]!)) at++;
      end = at + 1;
      isBehind = false;
    } else if (CLAUSE.test(c)) {
      isBehind = true;
      if (UNSPACED.test(c)) end = at + 1;
    } else isBehind &&= CLOSING.test(c);
  }
  return end;
}

/** The last position behind a space, or 0. */
function lastSpaceEnd(text: string): number {
  let end = text.length;
  while (end > 0 && !SPACE.test(text[end - 1]!)) end--;
  return end;
}

/** Ends of the code points in the first `most` units; at least one. */
function codePointEnds(text: string, most: number): number[] {
  const ends: number[] = [];
  let end = 0;
  for (const character of text.slice(0, most + 1)) {
    end += character.length;
    // A pair that the slice cut in two counts whole.
    if (character.length === 1 && isPair(text, end - 1)) end++;
    if (ends.length > 0 && end > most) break;
    ends.push(end);
  }
  return ends;
}

function isPair(text: string, index: number): boolean {
  const [high, low] = [text.charCodeAt(index), text.charCodeAt(index + 1)];
  return high >= 0xd800 && high < 0xdc00 && low >= 0xdc00 && low < 0xe000;
}

/**
 * The greatest of `ends` whose prefix fits; the first where none does. Doubling before bisection keeps the text that
 * is tokenized in proportion to the answer. Token counts of prefixes are all but monotonic, so the answer fits even
 * where a longer prefix would too, as one may that is longer by a 32nd: nearer is not worth another look.
 */
function longestThatFits(text: string, ends: readonly number[], limit: PieceLimit): number {
  const fitsAt = (index: number) => fits(text.slice(0, ends[index]), limit);
  let low = 0, high = 15;
  while (high < ends.length && fitsAt(high)) {
    low = high;
    high = high * 2 + 1;
  }
  high = Math.min(high, ends.length) - 1;
  while (high - low > low >> 5) {
    const middle = (low + high + 1) >> 1;
    if (fitsAt(middle)) low = middle;
    else high = middle - 1;
  }
  return ends[low]!;
}
