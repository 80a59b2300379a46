/** The K/V pages that are in use: counted references, so that hypotheses share what they have in common. */

/** Free list and reference counts of `count` pages. Pages are numbers; the model owns their bytes. */
export class PagePool {
  readonly #free: number[];
  readonly #references: Uint32Array;
  #promised = 0;
  /** Releases a page that is only kept in case it is wanted again; false where there is none. */
  onEmpty: () => boolean = () => false;

  constructor(readonly count: number) {
    this.#free = Array.from({ length: count }, (_, i) => count - 1 - i);
    this.#references = new Uint32Array(count);
  }

  get used(): number {
    return this.count - this.#free.length;
  }

  /** Promises pages to a sentence for its whole life, so that a running one never finds the pool empty. */
  promise(pages: number): boolean {
    if (this.#promised + pages > this.count) return false;
    this.#promised += pages;
    return true;
  }

  /** Whether so many pages can be taken now; kept ones are given up for it. */
  hasRoom(pages: number): boolean {
    while (this.#free.length < pages && this.onEmpty());
    return this.#free.length >= pages;
  }

  unpromise(pages: number): void {
    this.#promised -= pages;
  }

  /** A page of one's own. Throws when the pool is empty, which promises rule out. */
  take(): number {
    if (this.#free.length === 0) this.onEmpty();
    const page = this.#free.pop();
    if (page === undefined) {
      throw new Error("the K/V page pool is empty although pages were promised");
    }
    this.#references[page] = 1;
    return page;
  }

  share(page: number): number {
    this.#references[page]!++;
    return page;
  }

  isShared(page: number): boolean {
    return this.#references[page]! > 1;
  }

  release(page: number): void {
    const left = --this.#references[page]!;
    if (left === 0) this.#free.push(page);
  }
}
