/** Characters that each key's owner had translated in the calendar month, UTC. */
import { z } from "zod";

/** Counts as they are kept on a disk. */
export const usageSchema = z.object({
  /** The month they are of: 2026-11. */
  month: z.string().regex(/^\d{4}-\d{2}$/, "must be a year and a month"),
  characters: z.record(z.string(), z.int().min(0)),
});
export type UsageSnapshot = z.infer<typeof usageSchema>;

/**
 * Counts of one month; a new month starts at 0. What is held for work under way is in no snapshot: work that a crash
 * ends was not done.
 */
export class UsageMeter {
  #month: string;
  readonly #characters = new Map<string, number>();
  readonly #held = new Map<string, number>();

  constructor(readonly now: () => Date = () => new Date(), kept?: UsageSnapshot) {
    this.#month = monthOf(now());
    if (kept?.month !== this.#month) return;
    for (const [name, count] of Object.entries(kept.characters)) this.#characters.set(name, count);
  }

  /** Characters of this month. */
  used(name: string): number {
    this.#turn();
    return this.#characters.get(name) ?? 0;
  }

  /** Counts characters, negative ones for what was not translated after all. */
  add(name: string, characters: number): void {
    this.#turn();
    this.#characters.set(name, Math.max(0, this.used(name) + characters));
  }

  /** Characters that are held for work under way. */
  held(name: string): number {
    return this.#held.get(name) ?? 0;
  }

  /** Holds characters for work under way; negative ones are given back. */
  hold(name: string, characters: number): void {
    const held = this.held(name) + characters;
    if (held > 0) this.#held.set(name, held);
    else this.#held.delete(name);
  }

  snapshot(): UsageSnapshot {
    this.#turn();
    return { month: this.#month, characters: Object.fromEntries(this.#characters) };
  }

  /** Seconds until the counts start anew. */
  secondsLeft(): number {
    const now = this.now();
    const next = Date.UTC(now.getUTCFullYear(), now.getUTCMonth() + 1);
    return Math.ceil((next - now.getTime()) / 1000);
  }

  #turn(): void {
    const month = monthOf(this.now());
    if (month === this.#month) return;
    this.#month = month;
    this.#characters.clear();
  }
}

function monthOf(date: Date): string {
  return date.toISOString().slice(0, 7);
}
