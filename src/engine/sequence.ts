/** One sentence on the device: its search, its K/V pages, and the decoder rows it asks for. */
import { PAGE_TOKENS } from "../backend/contract.ts";
import type { PagePool } from "./pages.ts";
import { type Continuations, Search, type SearchOptions } from "./search.ts";

/** What a row of the next decoder step is. */
export interface SequenceRow {
  readonly id: number;
  /** Place in the decoder's input: 0 is the start token. */
  readonly index: number;
  /** Pages of this row's own keys and values, the one it writes to included. */
  readonly pages: readonly number[];
  /** False for the start token, whose successor is the language token. */
  readonly wanted: boolean;
}

/** A search, and the tokens that it starts from: the second only where the model has one. */
export interface SequenceOptions extends SearchOptions {
  readonly startToken: number;
  readonly languageToken: number | undefined;
}

/** Most pages a sentence can hold at once: its source, and each hypothesis at full length. */
export function pagesNeeded(sourceTokens: number, beams: number, maxTokens: number): number {
  return Math.ceil(sourceTokens / PAGE_TOKENS) + beams * Math.ceil((maxTokens + 1) / PAGE_TOKENS);
}

/** Rows that a sentence takes in its widest step: its beams, or start and language token at first. */
export function rowsNeeded(beams: number): number {
  return Math.max(2, beams);
}

export class Sequence {
  readonly search: Search;
  readonly crossPages: readonly number[];
  /** Pages of each running hypothesis. */
  #pages: number[][] = [[]];
  #started = false;
  readonly #promised: number;

  /** Takes promised pages from the pool; `close` gives them back. */
  constructor(
    private readonly pool: PagePool,
    private readonly copyPage: (from: number, to: number) => void,
    readonly sourceTokens: number,
    private readonly options: SequenceOptions,
  ) {
    this.search = new Search(options, options.languageToken);
    this.#promised = pagesNeeded(sourceTokens, options.beams, options.maxTokens);
    this.crossPages = Array.from(
      { length: Math.ceil(sourceTokens / PAGE_TOKENS) },
      () => pool.take(),
    );
  }

  /** Where the K and V of source token i go. */
  crossPlace(i: number): number {
    return this.crossPages[Math.floor(i / PAGE_TOKENS)]! * PAGE_TOKENS + i % PAGE_TOKENS;
  }

  /** Rows of the next step, in order of hypothesis; every page they write to is theirs alone. */
  rows(): SequenceRow[] {
    if (!this.#started) {
      const pages = this.#pages[0]!;
      const { startToken, languageToken } = this.options;
      const forced = languageToken === undefined ? [startToken] : [startToken, languageToken];
      forced.forEach((_, index) => this.#writable(pages, index));
      return forced.map((id, index) => (
        { id, index, pages, wanted: index === forced.length - 1 }
      ));
    }
    return this.search.running.map((r, i) => {
      const pages = this.#pages[i]!;
      const index = r.tokens.length;
      this.#writable(pages, index);
      return { id: r.tokens[index - 1]!, index, pages, wanted: true };
    });
  }

  /** Takes the continuations of the wanted rows of `rows()`. */
  advance(continuations: readonly Continuations[]): void {
    this.#started = true;
    const before = this.#pages;
    const parents = this.search.advance(continuations);
    this.#pages = parents.map((p) => before[p]!.map((page) => this.pool.share(page)));
    for (const pages of before) this.#release(pages);
  }

  /** Gives every page back. */
  close(): void {
    for (const pages of this.#pages.splice(0)) this.#release(pages);
    this.#release(this.crossPages);
    this.pool.unpromise(this.#promised);
  }

  /** Makes the page of place `index` exist and belong to this hypothesis alone (copy on write). */
  #writable(pages: number[], index: number): void {
    const at = Math.floor(index / PAGE_TOKENS);
    const page = pages[at];
    if (page === undefined) {
      pages.push(this.pool.take());
    } else if (this.pool.isShared(page)) {
      const own = this.pool.take();
      this.copyPage(page, own);
      this.pool.release(page);
      pages[at] = own;
    }
  }

  #release(pages: readonly number[]): void {
    for (const p of pages) this.pool.release(p);
  }
}
