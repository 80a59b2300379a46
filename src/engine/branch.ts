/** One hypothesis on the device: its tokens, the pages of their keys and values, and how many of these are there. */
import { PAGE_TOKENS } from "../backend/contract.ts";
import type { KeptPage } from "./prefix_cache.ts";
import type { SequenceParts, SequenceRow } from "./sequence.ts";

/** Tokens, and the pages that hold the K and V of the first `computed` of them. Owns a reference to each page. */
export class Branch {
  readonly pages: number[];
  #computed: number;
  /** The last full page that the cache knows of, and how many those are. */
  #kept: KeptPage | undefined;
  #keptPages: number;

  private constructor(
    private readonly tokens: number[],
    private readonly parts: SequenceParts,
    from: { pages: number[]; computed: number; kept?: KeptPage | undefined; keptPages: number },
  ) {
    this.pages = from.pages;
    this.#computed = from.computed;
    this.#kept = from.kept;
    this.#keptPages = from.keptPages;
  }

  /** With what the cache knows of the tokens; the last one always runs, since its logits are wanted. */
  static start(tokens: number[], parts: SequenceParts): Branch {
    const found = parts.cache?.take(tokens, Math.floor((tokens.length - 1) / PAGE_TOKENS));
    const pages = [...found?.pages ?? []], keptPages = pages.length;
    const computed = keptPages * PAGE_TOKENS;
    return new Branch(tokens, parts, { pages, computed, kept: found?.last, keptPages });
  }

  /** Without a page. */
  static empty(tokens: number[], parts: SequenceParts): Branch {
    return new Branch(tokens, parts, { pages: [], computed: 0, keptPages: 0 });
  }

  get length(): number {
    return this.tokens.length;
  }

  /** Tokens whose K and V are in pages. */
  get computed(): number {
    return this.#computed;
  }

  /** Takes what it has in common with another branch from that one's pages, where it has none of its own. */
  shareFrom(other: Branch): void {
    if (this.pages.length > 0) return;
    let common = 0;
    const most = Math.min(this.length, other.length) - 1;
    while (common < most && this.tokens[common] === other.tokens[common]) common++;
    const count = Math.min(Math.floor(common / PAGE_TOKENS), other.pages.length);
    for (const page of other.pages.slice(0, count)) this.pages.push(this.parts.pool.share(page));
    this.#computed = count * PAGE_TOKENS;
  }

  /** Pages that the rows up to `end` take from the pool at the most. */
  pagesFor(end: number): number {
    const at = Math.floor(this.#computed / PAGE_TOKENS), last = Math.ceil(end / PAGE_TOKENS);
    const copies = at < this.pages.length && this.parts.pool.isShared(this.pages[at]!) ? 1 : 0;
    return Math.max(0, last - this.pages.length) + copies;
  }

  /** Rows of the tokens from the first that is not computed to `end`; each page that they write to is its alone. */
  rows(end: number): SequenceRow[] {
    return Array.from({ length: end - this.#computed }, (_, i) => {
      const index = this.#computed + i;
      this.#writable(index);
      const wanted = index === this.length - 1;
      return { id: this.tokens[index]!, index, pages: this.pages, wanted };
    });
  }

  /** The rows up to `end` ran. Pages that are full now are told to the cache where they are to be found again. */
  ran(end: number, keep = true): void {
    this.#computed = end;
    const { cache } = this.parts;
    if (cache === undefined || !keep) return;
    for (; (this.#keptPages + 1) * PAGE_TOKENS <= end; this.#keptPages++) {
      // Pages behind one that was given up could not be found.
      if (this.#kept !== undefined && !cache.has(this.#kept)) return;
      const at = this.#keptPages * PAGE_TOKENS;
      this.#kept = cache.keep(this.#kept, this.tokens, at, this.pages[this.#keptPages]!);
    }
  }

  /** Another branch of the same beginning and one token more. */
  fork(token: number): Branch {
    const pages = this.pages.map((page) => this.parts.pool.share(page));
    return new Branch([...this.tokens, token], this.parts, {
      pages,
      computed: this.#computed,
      kept: this.#kept,
      keptPages: this.#keptPages,
    });
  }

  /** Gives its pages back. */
  close(): void {
    for (const page of this.pages.splice(0)) this.parts.pool.release(page);
  }

  /** Makes the page of place `index` exist and belong to this branch alone (copy on write). */
  #writable(index: number): void {
    const { pool, copyPage } = this.parts, at = Math.floor(index / PAGE_TOKENS);
    const page = this.pages[at];
    if (page === undefined) {
      this.pages.push(pool.take());
    } else if (pool.isShared(page)) {
      const own = pool.take();
      copyPage(page, own);
      pool.release(page);
      this.pages[at] = own;
    }
  }
}
