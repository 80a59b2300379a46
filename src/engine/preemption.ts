/** When K/V pages run out the youngest sequences give theirs up, and are prefilled again when there is room. */
import type { Active } from "./active.ts";
import type { Decoder } from "./decoder.ts";
import type { PagePool } from "./pages.ts";
import type { PrefixPasses } from "./prefix_passes.ts";
import type { Request } from "./queue.ts";
import { rowsNeeded } from "./sequence.ts";

/** What is looked at and told. */
export interface PreemptionParts {
  readonly pool: PagePool;
  readonly decoder: Decoder;
  readonly prefixes: PrefixPasses;
  /** Sequences that run, oldest first. */
  readonly active: Active[];
  readonly maxRows: number;
}

/** Rows that a sequence takes of a step. */
export function rowsOf({ request, index }: Active): number {
  return rowsNeeded(request.jobs[index]!.beams);
}

/** Preempted sequences of one scheduler. */
export class Preemption {
  /** How often a sequence gave its pages up. */
  count = 0;
  /** In the order in which they came; they go on before new ones start. */
  readonly #waiting: Active[] = [];

  constructor(private readonly parts: PreemptionParts) {}

  /** Sequences that wait for pages. */
  get waiting(): readonly Active[] {
    return this.#waiting;
  }

  /**
   * Those of `wanted` whose next rows find pages: the youngest sequences are preempted until the others' do. `needed` is
   * the most that they can take, so nobody waits for it who has pages for certain: a sequence with a source was promised
   * all of them, and the pool holds any job alone.
   */
  withPages(wanted: Active[], needed: (of: readonly Active[]) => number): Active[] {
    const { pool, active, prefixes } = this.parts;
    if (wanted.some((a) => a.source !== undefined)) return wanted;
    while (wanted.length > 0 && !pool.hasRoom(needed(wanted))) {
      const victim = active.findLast((a, i) => i > 0 && this.#mayPreempt(a));
      if (victim === undefined) {
        if (active.length === 1 && !prefixes.busy) return wanted;
        // What holds the pages is in a pass, which will end.
        wanted = wanted.slice(0, -1);
        continue;
      }
      this.#preempt(victim);
      wanted = wanted.filter((a) => a !== victim);
    }
    return wanted;
  }

  #mayPreempt(a: Active): boolean {
    return a.source === undefined && !a.sequence.search.done && !this.parts.prefixes.has(a);
  }

  #preempt(a: Active): void {
    const { active, decoder } = this.parts;
    active.splice(active.indexOf(a), 1);
    decoder.unpark(a);
    a.sequence.preempt();
    this.#waiting.unshift(a);
    this.count++;
  }

  /** Those that can go on join the active ones again: the oldest first, none past one that cannot. */
  resume(): void {
    const { active, maxRows } = this.parts;
    for (let a = this.#waiting[0]; a !== undefined; a = this.#waiting[0]) {
      const rows = active.reduce((n, other) => n + rowsOf(other), rowsOf(a));
      if (rows > maxRows || !a.sequence.resume()) return;
      active.push(this.#waiting.shift()!);
    }
  }

  /** Forgets a request's sequences. */
  remove(request: Request): void {
    for (const a of this.#waiting.filter((a) => a.request === request)) {
      this.#waiting.splice(this.#waiting.indexOf(a), 1);
      a.sequence.close();
    }
  }
}
