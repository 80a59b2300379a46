/**
 * Holds: the experts that parked rows wait for. A granted hold pins what is resident of it, fetches the rest and
 * pins each as it comes; it is released when its rows have run. Holds are granted in the order in which they came,
 * as many at a time as leave slots for everybody else, so that what came in is used before it can be driven out:
 * every hold moves its rows on by a layer at least, and none waits for ever.
 */
import type { VerifiedBlock } from "../store/contract.ts";
import type { Hold } from "./contract.ts";

/** What holds need of the residency. Experts are named by layer and index. */
export interface HoldHost {
  readonly slots: number;
  isResident(layer: number, expert: number): boolean;
  pin(layer: number, expert: number): void;
  unpin(layer: number, expert: number): void;
  fetch(layer: number, expert: number, signal: AbortSignal): Promise<VerifiedBlock>;
  /** Writes a block to a slot; false where every slot is pinned. */
  put(layer: number, expert: number, bytes: Uint8Array): boolean;
}

/** Slots that granted holds leave to waves, where there are so many: a quarter, at most this. */
const LEFT_FREE = 16;

interface Stranded {
  readonly hold: OneHold;
  readonly expert: number;
  readonly block: VerifiedBlock;
}

/** All holds of a residency, in order. */
export class Holds {
  readonly #queue: OneHold[] = [];
  /** Blocks that found every slot pinned by a wave; placed when it unpins. */
  readonly #stranded: Stranded[] = [];
  /** Passes in waves that may wait while holds are granted. */
  #passes = 0;

  constructor(private readonly host: HoldHost) {}

  /** Slots that no granted hold has pinned or will pin. */
  get room(): number {
    return this.host.slots - reserved(this.#queue.filter((h) => h.granted)).size;
  }

  /** No hold is granted from now on that takes the last slot; until what it answers is called. */
  keepSlot(): () => void {
    this.#passes++;
    return () => {
      this.#passes--;
      this.#grant();
    };
  }

  /** Queues a hold of a layer's experts, distinct and no more than there are slots. */
  add(layer: number, experts: readonly number[], changed: () => void): Hold {
    const hold = new OneHold(layer, experts, changed, () => this.#release(hold));
    this.#queue.push(hold);
    this.#grant();
    return hold;
  }

  /** Slots were unpinned: what was stranded is tried again. */
  retry(): void {
    for (const s of this.#stranded.splice(0)) this.#arrive(s);
  }

  #grant(): void {
    const left = Math.max(1, Math.min(LEFT_FREE, this.host.slots >> 2));
    for (const hold of this.#queue) {
      if (hold.granted) continue;
      const granted = this.#queue.filter((h) => h.granted);
      const needed = reserved([...granted, hold]).size;
      // One alone may take them all, but for the slot that a pass in waves goes on with.
      const kept = granted.length > 0 ? left : Math.min(1, this.#passes);
      if (needed > this.host.slots - kept) return;
      this.#begin(hold);
    }
  }

  #begin(hold: OneHold): void {
    hold.granted = true;
    for (const expert of hold.experts) {
      if (this.host.isResident(hold.layer, expert)) {
        this.host.pin(hold.layer, expert);
        hold.pinned.add(expert);
        continue;
      }
      this.host.fetch(hold.layer, expert, hold.stop.signal).then(
        (block) => this.#arrive({ hold, expert, block }),
        (error) => hold.fail(error),
      );
    }
    hold.look();
  }

  #arrive(s: Stranded): void {
    const { hold, expert, block } = s, { layer } = hold;
    if (!hold.released && !this.host.isResident(layer, expert)) {
      try {
        if (!this.host.put(layer, expert, block.bytes)) return void this.#stranded.push(s);
      } catch (error) {
        hold.fail(error);
      }
    }
    block.release();
    if (hold.released || hold.failure !== undefined) return;
    this.host.pin(layer, expert);
    hold.pinned.add(expert);
    hold.look();
  }

  #release(hold: OneHold): void {
    this.#queue.splice(this.#queue.indexOf(hold), 1);
    hold.stop.abort(new DOMException("nobody waits for it any more", "AbortError"));
    for (const e of hold.pinned) this.host.unpin(hold.layer, e);
    this.retry();
    this.#grant();
  }
}

class OneHold implements Hold {
  readonly pinned = new Set<number>();
  readonly stop = new AbortController();
  granted = false;
  released = false;
  failure: { error: unknown } | undefined;

  constructor(
    readonly layer: number,
    readonly experts: readonly number[],
    private readonly changed: () => void,
    private readonly gone: () => void,
  ) {}

  get ready(): boolean {
    return this.granted && this.pinned.size === this.experts.length;
  }

  look(): void {
    if (this.ready) this.changed();
  }

  fail(error: unknown): void {
    if (this.released || this.failure !== undefined) return;
    this.failure = { error };
    this.changed();
  }

  release(): void {
    if (this.released) return;
    this.released = true;
    this.gone();
  }
}

/** Distinct experts of some holds. */
function reserved(holds: readonly OneHold[]): Set<string> {
  return new Set(holds.flatMap((h) => h.experts.map((e) => `${h.layer} ${e}`)));
}
