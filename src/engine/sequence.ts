/** One sequence on the device: its prefix, its search, its K/V pages, and the rows that it asks for. */
import { PAGE_TOKENS } from "../backend/contract.ts";
import { Branch } from "./branch.ts";
import type { PagePool } from "./pages.ts";
import type { PrefixCache } from "./prefix_cache.ts";
import type { Job } from "./queue.ts";
import { type Continuations, Search } from "./search.ts";

/** A row of the next pass. */
export interface SequenceRow {
  readonly id: number;
  /** Place in the sequence: 0 is the first token of the prefix. */
  readonly index: number;
  /** Pages of this row's own keys and values, the one it writes to included. */
  readonly pages: readonly number[];
  /** False for tokens whose successor is known. */
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

/**
 * Tokens of its own for which a sequence without a source is promised pages when it starts; where more are needed and
 * none are left, the youngest sequence is preempted. With a source everything is promised.
 */
const TOKENS_AHEAD = 64;

/** What sequences of one model share. */
export interface SequenceParts {
  readonly pool: PagePool;
  /** Copies a whole page in every layer. */
  copyPage(from: number, to: number): void;
  /** Any of these ends a hypothesis. */
  readonly eos: readonly number[];
  /** Known prefixes; nothing is looked for or kept without. */
  readonly cache?: PrefixCache | undefined;
}

export class Sequence {
  readonly search: Search;
  readonly crossPages: readonly number[];
  /** Prefix tokens that were found in the cache when it started. */
  readonly cachedTokens: number;
  /** One a running hypothesis, in their order. */
  #branches: Branch[];
  /** Rows that the last `prefillRows` asked for of each branch. */
  #asked: { readonly branch: Branch; readonly count: number }[] = [];
  #promised = 0;

  /** Takes promised pages from the pool (`promise` comes first), and what is known of the prefix from the cache. */
  constructor(private readonly job: Job, private readonly parts: SequenceParts) {
    const { prefix, forced = 0, source } = job, { pool, eos } = parts;
    this.search = new Search({ ...job, eos }, prefix.slice(prefix.length - forced));
    this.#promised = promisedPages(job, 0);
    this.crossPages = Array.from(
      { length: Math.ceil((source?.length ?? 0) / PAGE_TOKENS) },
      () => pool.take(),
    );
    this.#branches = [Branch.start(this.#tokens(0), parts)];
    this.cachedTokens = this.#branches[0]!.computed;
  }

  /** Promises a job's first pages; false where the pool has no room for another sequence. */
  static promise(pool: PagePool, job: Job): boolean {
    return pool.promise(promisedPages(job, 0));
  }

  /** Tokens of the memory. */
  get sourceTokens(): number {
    return this.job.source?.length ?? 0;
  }

  /** Where the K and V of source token i go. */
  crossPlace(i: number): number {
    return this.crossPages[Math.floor(i / PAGE_TOKENS)]! * PAGE_TOKENS + i % PAGE_TOKENS;
  }

  /** All tokens of hypothesis `i` so far. */
  #tokens(i: number): number[] {
    const { prefix, forced = 0 } = this.job;
    return [...prefix.slice(0, prefix.length - forced), ...this.search.running[i]?.tokens ?? []];
  }

  /** Tokens that must be run before the next step of the search: of the prefix, or of what a preemption lost. */
  get prefillTokens(): number {
    const left = this.#branches.reduce((n, b) => n + b.length - b.computed, 0);
    const inStep = Math.max(FIRST_STEP_ROWS, this.#branches.length);
    return left > inStep ? left - this.#branches.length : 0;
  }

  /** Rows of the next `count` of them; `prefilled` says that they ran. */
  prefillRows(count: number): SequenceRow[] {
    const rows: SequenceRow[] = [], asked: { branch: Branch; count: number }[] = [];
    for (const [i, branch] of this.#branches.entries()) {
      if (i > 0) branch.shareFrom(this.#branches[0]!);
      const most = Math.min(count - rows.length, branch.length - 1 - branch.computed);
      if (most <= 0) continue;
      asked.push({ branch, count: most });
      rows.push(...branch.rows(branch.computed + most));
    }
    this.#asked = asked;
    return rows;
  }

  /** The rows of the last `prefillRows` ran. */
  prefilled(): void {
    for (const { branch, count } of this.#asked.splice(0)) branch.ran(branch.computed + count);
  }

  /** Pages that `rows` will take from the pool at the most. */
  get pagesForStep(): number {
    return this.#branches.reduce((n, b) => n + b.pagesFor(b.length), 0);
  }

  /** Rows of the next step, in order of hypothesis; every page they write to is theirs alone. */
  rows(): SequenceRow[] {
    const rows = this.#branches.flatMap((b) => b.rows(b.length));
    this.#promiseHeld();
    return rows;
  }

  /** Takes the continuations of the wanted rows of `rows()`. */
  advance(continuations: readonly Continuations[]): void {
    // Of several hypotheses it is not known which one will be asked for again.
    for (const b of this.#branches) b.ran(b.length, this.job.beams === 1);
    const before = this.#branches;
    const parents = this.search.advance(continuations);
    this.#branches = parents.map((p, i) => before[p]!.fork(this.search.running[i]!.tokens.at(-1)!));
    for (const b of before) b.close();
  }

  /** Gives its pages up; what they held is run again after `resume`. Only where there is no source. */
  preempt(): void {
    this.#release();
    this.#branches = this.search.running.map((_, i) => Branch.empty(this.#tokens(i), this.parts));
  }

  /** Promises pages again, for what it has come to; false where the pool has no room. */
  resume(): boolean {
    const needed = promisedPages(this.job, this.search.running[0]!.tokens.length);
    if (!this.parts.pool.promise(needed)) return false;
    this.#promised = needed;
    this.#branches[0]!.close();
    this.#branches[0] = Branch.start(this.#tokens(0), this.parts);
    return true;
  }

  /** Gives every page back. */
  close(): void {
    this.#release();
    for (const page of this.crossPages) this.parts.pool.release(page);
  }

  #release(): void {
    for (const b of this.#branches.splice(0)) b.close();
    this.parts.pool.unpromise(this.#promised);
    this.#promised = 0;
  }

  /** What it holds beyond its promise counts as promised, so that others are admitted later. */
  #promiseHeld(): void {
    const held = this.crossPages.length +
      this.#branches.reduce((n, b) => n + b.pages.length, 0);
    if (held <= this.#promised) return;
    this.parts.pool.unpromise(this.#promised - held);
    this.#promised = held;
  }
}

/** Pages that are promised to a sequence that has `generated` tokens. */
function promisedPages(job: Job, generated: number): number {
  const ahead = job.source === undefined ? generated + TOKENS_AHEAD : Infinity;
  return pagesNeeded({ ...sizeOf(job), maxTokens: Math.min(job.maxTokens, ahead) });
}
