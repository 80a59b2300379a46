/** Which elements are open, and which HTML ends without a word: <li>, <p>, <td> and their like need no end tag. */

const words = (list: string): ReadonlySet<string> => new Set(list.split(/\s+/));

/** Start tags that end an element whose end tag may be left out (HTML, "optional tags" and its tree construction). */
const ENDED_BY: ReadonlyMap<string, ReadonlySet<string>> = new Map([
  ["li", words("li")],
  ["dt", words("dt dd")],
  ["dd", words("dt dd")],
  [
    "p",
    words(
      `address article aside blockquote center details dialog dir div dl dt dd fieldset figcaption figure footer form
      h1 h2 h3 h4 h5 h6 header hgroup hr li listing main menu nav ol p plaintext pre search section summary table ul
      xmp`,
    ),
  ],
  ["option", words("option optgroup hr")],
  ["optgroup", words("optgroup hr")],
  ["rt", words("rt rp")],
  ["rp", words("rt rp")],
  ["td", words("td th tr tbody tfoot thead")],
  ["th", words("td th tr tbody tfoot thead")],
  ["tr", words("tr tbody tfoot thead")],
  ["thead", words("tbody tfoot")],
  ["tbody", words("tbody tfoot thead")],
  ["tfoot", words("tbody thead")],
  ["caption", words("col colgroup tbody tfoot thead tr td th")],
  ["colgroup", words("tbody tfoot thead tr td th")],
  ["head", words("body")],
]);

/** Inside of these a start tag ends nothing further out: a list in an item has items of its own. */
const BARRIERS = words(
  "ul ol menu dir dl table select button object applet marquee template ruby caption td th svg math",
);

/** HTML opens these again in what follows when an element around them ends: only an end tag ends them. */
const FORMATTING = words("a b big code em font i nobr s small strike strong tt u");

/** Whether an element without an end tag ends where the one around it does. */
export function endsWithParent(name: string): boolean {
  return !FORMATTING.has(name);
}

/** Elements that are open, outermost first, each with a value. All calls together take linear time. */
export class OpenElements<T> {
  readonly #open: { name: string; value: T }[] = [];
  readonly #count = new Map<string, number>();
  #barriers = 0;

  /** Whether the start tag `name` ends an element `parent` that all of these are in. */
  endsParent(parent: string, name: string): boolean {
    return this.#barriers === 0 && ENDED_BY.get(parent)?.has(name) === true;
  }

  has(name: string): boolean {
    return (this.#count.get(name) ?? 0) > 0;
  }

  push(name: string, value: T): void {
    this.#open.push({ name, value });
    this.#count.set(name, (this.#count.get(name) ?? 0) + 1);
    if (BARRIERS.has(name)) this.#barriers++;
  }

  /** Ends the innermost element of that name and what is open in it: its value, or undefined where there is none. */
  close(name: string): T | undefined {
    if (!this.has(name)) return undefined;
    for (;;) {
      const top = this.#open.pop()!;
      this.#count.set(top.name, this.#count.get(top.name)! - 1);
      if (BARRIERS.has(top.name)) this.#barriers--;
      if (top.name === name) return top.value;
    }
  }
}
