/** Experts brought in before anybody asks: whatever goes wrong is told to whoever asks then. */
import type { VerifiedBlock } from "../store/contract.ts";

/** What it needs of a residency, for one layer. */
export interface AheadOptions {
  isResident(expert: number): boolean;
  fetch(expert: number): Promise<VerifiedBlock>;
  /** False where there is no slot that a guess may take. */
  put(expert: number, bytes: Uint8Array): boolean;
}

/** Resolves with how many came. */
export async function bringAhead(
  experts: readonly number[],
  { isResident, fetch, put }: AheadOptions,
): Promise<number> {
  const missing = experts.filter((e) => !isResident(e));
  const came = await Promise.all(missing.map(async (expert) => {
    const block = await fetch(expert).catch(() => undefined);
    if (block === undefined) return false;
    try {
      // Whoever needed it meanwhile has placed it.
      return !isResident(expert) && put(expert, block.bytes);
    } catch {
      // A device that is gone: its next pass is told.
      return false;
    } finally {
      block.release();
    }
  }));
  return came.filter((c) => c).length;
}
