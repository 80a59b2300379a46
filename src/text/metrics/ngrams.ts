/** Runs of n items as strings, counted. */

/** What Python's str.split() splits at; JavaScript's \s has U+FEFF and lacks the information separators. */
export const WHITESPACE =
  // deno-lint-ignore no-control-regex
  /[\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+/u;

/** Words of a line, as Python's str.split() finds them. */
export function words(line: string): string[] {
  return line.split(WHITESPACE).filter((w) => w !== "");
}

/** How often each run of n items occurs. `joint` must not occur inside an item of more than one character. */
export function countNgrams(
  items: readonly string[],
  n: number,
  joint: string,
): Map<string, number> {
  const found = new Map<string, number>();
  for (let i = 0; i + n <= items.length; i++) {
    const key = n === 1 ? items[i]! : items.slice(i, i + n).join(joint);
    found.set(key, (found.get(key) ?? 0) + 1);
  }
  return found;
}

/** Occurrences that two counts have in common. */
export function common(a: Map<string, number>, b: Map<string, number>): number {
  let sum = 0;
  for (const [key, count] of a) sum += Math.min(count, b.get(key) ?? 0);
  return sum;
}
