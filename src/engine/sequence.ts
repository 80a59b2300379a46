/** One sequence on the device: its prefix, its search, its K/V pages, and the rows that it asks for. */
import { PAGE_TOKENS } from "../backend/contract.ts";
import type { PagePool } from "./pages.ts";
import type { KeptPage, PrefixCache } from "./prefix_cache.ts";
import type { Job } from "./queue.ts";
import { type Continuations, Search } from "./search.ts";

/** A row of the next pass. */
export interface SequenceRow {
  readonly id: number;
  /** Place in the sequence: 0 is the first token of the prefix. */
  readonly index: number;
  /** Pages of this row's own keys and values, the one it writes to included. */
  readonly pages: readonly number[];
  /** False for prefix tokens whose successor is known. */
  readonly wanted: boolean;
}

/** What pages a sequence needs is known from this; all in tokens. */
export interface SequenceSize {
  readonly source: number;
  /** Given, and not counted as generated. */
  readonly given: number;
  readonly beams: number;
  readonly maxTokens: number;
}

/** The size of a job's sequence. */
export function sizeOf({ source, prefix, forced = 0, beams, maxTokens }: Job): SequenceSize {
  return { source: source?.length ?? 0, given: prefix.length - forced, beams, maxTokens };
}

/** Most pages a sequence can hold at once: its memory, what its hypotheses share, and each at full length. */
export function pagesNeeded({ source, given, beams, maxTokens }: SequenceSize): number {
  const shared = Math.floor(given / PAGE_TOKENS),
    last = Math.ceil((given + maxTokens) / PAGE_TOKENS);
  return Math.ceil(source / PAGE_TOKENS) + shared + beams * (last - shared);
}

/** The end of a prefix that runs in the first step of the search, and does not need a pass before it. */
export const FIRST_STEP_ROWS = 2;

/** Rows that a sequence takes in its widest step: its beams, or the end of its prefix. */
export function rowsNeeded(beams: number): number {
  return Math.max(FIRST_STEP_ROWS, beams);
}

export class Sequence {
  readonly search: Search;
  readonly crossPages: readonly number[];
  /** Pages of each running hypothesis. */
  #pages: number[][];
  /** Tokens of the prefix whose K and V are in pages. */
  #computed: number;
  readonly #promised: number;
  /** The last full page that the cache knows of, and how many those are. */
  #kept: KeptPage | undefined;
  #keptPages: number;
  /** Prefix tokens that were found in the cache. */
  readonly cachedTokens: number;

  /**
   * Takes promised pages from the pool, and what is known of the prefix from the cache; `close` gives all back. Without
   * a cache nothing is looked for, and nothing kept.
   */
  constructor(
    private readonly pool: PagePool,
    private readonly copyPage: (from: number, to: number) => void,
    private readonly job: Job,
    eos: readonly number[],
    private readonly cache?: PrefixCache,
  ) {
    const { prefix, forced = 0, source } = job;
    this.search = new Search({ ...job, eos }, prefix.slice(prefix.length - forced));
    this.#promised = pagesNeeded(sizeOf(job));
    this.crossPages = Array.from(
      { length: Math.ceil((source?.length ?? 0) / PAGE_TOKENS) },
      () => pool.take(),
    );
    // Of a prefix the last token always runs: its logits are wanted.
    const found = this.cache?.take(prefix, Math.floor((prefix.length - 1) / PAGE_TOKENS));
    this.#pages = [[...found?.pages ?? []]];
    this.#kept = found?.last;
    this.#keptPages = this.#pages[0]!.length;
    this.#computed = this.cachedTokens = this.#keptPages * PAGE_TOKENS;
  }

  /** Tokens of the memory. */
  get sourceTokens(): number {
    return this.job.source?.length ?? 0;
  }

  /** Where the K and V of source token i go. */
  crossPlace(i: number): number {
    return this.crossPages[Math.floor(i / PAGE_TOKENS)]! * PAGE_TOKENS + i % PAGE_TOKENS;
  }

  /** Prefix tokens that must be run before the first step of the search. */
  get prefillTokens(): number {
    const left = this.job.prefix.length - this.#computed;
    return left > FIRST_STEP_ROWS ? left - 1 : 0;
  }

  /** Rows of the next `count` prefix tokens; `prefilled` says that they ran. */
  prefillRows(count: number): SequenceRow[] {
    return this.#prefixRows(this.#computed + count);
  }

  /** The rows of the last `prefillRows` ran. */
  prefilled(count: number): void {
    this.#computed += count;
    this.#keep(this.job.prefix, this.#computed);
  }

  /** Tells the cache of pages that are full now: the first `computed` of `tokens` have their K and V. */
  #keep(tokens: readonly number[], computed: number): void {
    if (this.cache === undefined) return;
    const pages = this.#pages[0]!;
    for (; (this.#keptPages + 1) * PAGE_TOKENS <= computed; this.#keptPages++) {
      // Pages behind one that was given up could not be found.
      if (this.#kept !== undefined && !this.cache.has(this.#kept)) return;
      const at = this.#keptPages * PAGE_TOKENS;
      this.#kept = this.cache.keep(this.#kept, tokens, at, pages[this.#keptPages]!);
    }
  }

  /** Prefix tokens from the first that is not computed to `end`. */
  #prefixRows(end: number): SequenceRow[] {
    const { prefix } = this.job, pages = this.#pages[0]!;
    return Array.from({ length: end - this.#computed }, (_, i) => {
      const index = this.#computed + i;
      this.#writable(pages, index);
      return { id: prefix[index]!, index, pages, wanted: index === prefix.length - 1 };
    });
  }

  /** Rows of the next step, in order of hypothesis; every page they write to is theirs alone. */
  rows(): SequenceRow[] {
    const { prefix, forced = 0 } = this.job;
    if (this.#computed < prefix.length) return this.#prefixRows(prefix.length);
    return this.search.running.map((r, i) => {
      const pages = this.#pages[i]!, index = prefix.length - forced + r.tokens.length - 1;
      this.#writable(pages, index);
      return { id: r.tokens.at(-1)!, index, pages, wanted: true };
    });
  }

  /** Takes the continuations of the wanted rows of `rows()`. */
  advance(continuations: readonly Continuations[]): void {
    const { prefix, forced = 0, beams } = this.job;
    this.#computed = prefix.length;
    // Of several hypotheses nobody knows yet which one will be asked for again.
    if (beams === 1 && this.cache !== undefined) {
      const { tokens } = this.search.running[0]!, given = prefix.length - forced;
      const computed = given + tokens.length;
      if (computed >= (this.#keptPages + 1) * PAGE_TOKENS) {
        this.#keep([...prefix.slice(0, given), ...tokens], computed);
      }
    }
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
