/** A sequence that was admitted and has not ended. */
import { PAGE_TOKENS } from "../backend/contract.ts";
import type { Decoding } from "./decoder.ts";
import type { Prefixed } from "./prefix_passes.ts";
import type { Request } from "./queue.ts";

/** What the scheduler knows of it. */
export interface Active extends Decoding, Prefixed {
  readonly request: Request;
  readonly index: number;
  /** Its source is not yet encoded. */
  needsMemory: boolean;
}

/** Its memory is there, and all of its prefix but the end. */
export function canDecode({ needsMemory, sequence }: Active): boolean {
  return !needsMemory && sequence.prefillTokens === 0 && !sequence.search.done;
}

/** Tells who listens what became certain of a sentence in this step. */
export function tellTokens({ request, index, gone, sequence: { search } }: Active): void {
  if (request.onTokens === undefined || gone) return;
  const { done } = search, tokens = done ? search.finished[0]?.tokens : search.certain;
  if (tokens !== undefined) request.onTokens({ sentence: index, tokens, done });
}

/** Pages that the next rows take at the most; parked ones have theirs. */
export function pagesForStep(of: readonly Active[]): number {
  return of.reduce((n, a) => n + (a.parked === undefined ? a.sequence.pagesForStep : 0), 0);
}

/** Pages that a chunk of at most `rows` rows of them takes at the most. */
export function pagesForChunk(of: readonly Active[], rows: number): number {
  return Math.min(pagesForStep(of), Math.ceil(rows / PAGE_TOKENS) + of.length);
}
