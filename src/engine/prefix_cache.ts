/**
 * K/V pages by content: a page that is full and belongs to a known prefix is kept while there is room, so that a prefix
 * which was run before is not run again. Least recently used pages are given up first, ends of prefixes before their
 * beginnings.
 */
import { PAGE_TOKENS } from "../backend/contract.ts";
import type { PagePool } from "./pages.ts";

/** A kept page: its tokens, after those of the pages before it. */
export interface KeptPage {
  readonly page: number;
  readonly parent: KeptPage | undefined;
  readonly key: string;
  readonly next: Map<string, KeptPage>;
}

/** What a sequence finds of its prefix. */
export interface Found {
  readonly pages: readonly number[];
  /** The last of them; undefined where there is none. */
  readonly last: KeptPage | undefined;
}

/** The kept pages of one pool, each of which has one reference of this cache's. */
export class PrefixCache {
  readonly #first = new Map<string, KeptPage>();
  /** Least recently used first. */
  readonly #order = new Set<KeptPage>();

  constructor(private readonly pool: PagePool) {
    pool.onEmpty = () => this.#giveUp();
  }

  /** Pages that are kept. */
  get size(): number {
    return this.#order.size;
  }

  /** Pages of the longest kept beginning of `tokens`, with a reference each for the caller; `most` at the most. */
  take(tokens: readonly number[], most: number): Found {
    const pages: number[] = [];
    let last: KeptPage | undefined;
    while (pages.length < most) {
      const found = this.#children(last).get(keyOf(tokens, pages.length * PAGE_TOKENS));
      if (found === undefined) break;
      pages.push(this.pool.share(found.page));
      last = found;
    }
    this.#touch(last);
    return { pages, last };
  }

  /**
   * Keeps the page of tokens `at` .. `at` + PAGE_TOKENS - 1 behind `last`. Returns what further pages come behind: the
   * page itself, or the one of the same content that is there already.
   */
  keep(last: KeptPage | undefined, tokens: readonly number[], at: number, page: number): KeptPage {
    const key = keyOf(tokens, at), siblings = this.#children(last);
    let kept = siblings.get(key);
    if (kept === undefined) {
      kept = { page: this.pool.share(page), parent: last, key, next: new Map() };
      siblings.set(key, kept);
    }
    this.#touch(kept);
    return kept;
  }

  /** Whether a page that a sequence continues is still kept, or has been given up since. */
  has(kept: KeptPage): boolean {
    return this.#order.has(kept);
  }

  #children(of: KeptPage | undefined): Map<string, KeptPage> {
    return of?.next ?? this.#first;
  }

  /** A page is at least as recent as those behind it. */
  #touch(kept: KeptPage | undefined): void {
    for (let at = kept; at !== undefined; at = at.parent) {
      this.#order.delete(at);
      this.#order.add(at);
    }
  }

  /** Gives up the page that was not used for longest, of those that no sequence has; false where there is none. */
  #giveUp(): boolean {
    for (const kept of this.#order) {
      if (kept.next.size > 0 || this.pool.isShared(kept.page)) continue;
      this.#order.delete(kept);
      this.#children(kept.parent).delete(kept.key);
      this.pool.release(kept.page);
      return true;
    }
    return false;
  }
}

function keyOf(tokens: readonly number[], at: number): string {
  return tokens.slice(at, at + PAGE_TOKENS).join();
}
