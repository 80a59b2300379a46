/** Going on where an earlier, interrupted run ended: what its journal has is kept, as far as it is still there. */
import { MoqeError } from "../base/errors.ts";
import type { WritableStore } from "../store/contract.ts";
import type { BlockRef } from "../store/manifest.ts";
import {
  entryLine,
  headLine,
  headOf,
  JOURNAL_NAME,
  type JournalFile,
  type JournalHead,
  parseJournal,
} from "./journal.ts";
import { type FinishedObject, type ObjectWriter, sha256Hex } from "./object_writer.ts";

export interface ResumeOptions {
  readonly journal: JournalFile;
  readonly head: JournalHead;
  /** Another pack's journal is given up. */
  readonly anew?: boolean | undefined;
}

/**
 * Tells the writer what is there, and answers all blocks of it in their order.
 *
 * @throws MoqeError `bad_input` where a pack of something else is unfinished there, so that no work is lost by a
 * flag that was mistyped
 */
export async function resume(writer: ObjectWriter, options: ResumeOptions): Promise<BlockRef[]> {
  const { journal, head, anew = false } = options;
  const before = await journal.read();
  if (!anew) checkSame(before, head, writer.out.origin);
  const blocks: BlockRef[] = [];
  let text = headLine(head);
  for (const entry of parseJournal(before, head.fingerprint)) {
    if (!await isWhole(writer.out, entry)) break;
    writer.restore(entry);
    blocks.push(...entry.refs);
    text += entryLine(entry);
  }
  await journal.write(text);
  return blocks;
}

/** A journal with a finished object in it must be this pack's. */
function checkSame(text: string, { fingerprint }: JournalHead, origin: string): void {
  const begun = headOf(text);
  if (begun === undefined || begun.fingerprint === fingerprint) return;
  throw new MoqeError("bad_input", {
    action: `go on with the unfinished pack in ${origin}`,
    rule: `it is of another checkpoint, or has other options (${JOURNAL_NAME} says so)`,
    remedy: "give it the same again, name another place, or give it up with --anew",
  });
}

/**
 * Objects are believed by their hash alone, since another run or a full disk may have left something else there; or
 * by what a store says that checked the hash when it took them.
 */
async function isWhole(
  out: WritableStore,
  { object, receipt }: FinishedObject,
): Promise<boolean> {
  if (out.holds !== undefined) return await out.holds(object.name, object.bytes, receipt);
  if (!await out.has(object.name)) return false;
  try {
    const bytes = await out.readAll(object.name, object.bytes);
    return `${sha256Hex(bytes)}.moqe` === object.name;
  } catch (error) {
    if (error instanceof MoqeError) return false;
    throw error;
  }
}
