/** What a request's texts cost its client, text by text. */
import type { Access, Client } from "./access/access.ts";

/** What is told before the first letter is kept from the source, and no translation yet. */
const LETTER = /\p{L}/u;

/** Texts that were charged for before they are translated. */
export interface Charges {
  /** Notes that a piece of a text's translation has gone out. */
  told(index: number, piece: string): void;
  /**
   * For a request that failed: takes back what was not told. The rest is the client's, or one that leaves just before
   * a stream's end would have it for nothing.
   */
  takeBack(): void;
}

/** Charges for all texts, by the characters of each, or for none. Throws RequestError 456 where they are more than the quota has left. */
export function chargeFor(
  characters: readonly number[],
  client: Client,
  access: Access,
): Charges {
  const open = new Map<number, () => void>();
  const takeBack = () => open.forEach((back) => back());
  try {
    for (const [i, n] of characters.entries()) open.set(i, access.charge(client, n));
  } catch (refused) {
    takeBack();
    throw refused;
  }
  return {
    told(index, piece) {
      if (LETTER.test(piece)) open.delete(index);
    },
    takeBack,
  };
}
