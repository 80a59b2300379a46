/**
 * Marks beside the outputs of a run over several files: which of them it has finished, so that the same command, given
 * again after an interrupt, passes them over where it would refuse what is there. They go when the run ends.
 */
import { createHash } from "node:crypto";
import { unlessMissing } from "../base/files.ts";

/** Ends the name of the mark beside an output. */
const MARK_SUFFIX = ".moqe-done";

/** What an output was made of, and its bytes, as one hash. */
function hashOf(made: string, output: Uint8Array): string {
  return createHash("sha256").update(`${made}\n`).update(output).digest("hex");
}

/** Marks an output that is about to be moved to its place. `made` is all that decides its bytes. */
export async function mark(path: string, made: string, output: Uint8Array): Promise<void> {
  await Deno.writeTextFile(path + MARK_SUFFIX, `${hashOf(made, output)}\n`);
}

/** Whether an interrupted run left a mark; what it is of is for isFinished to say. */
export async function isMarked(path: string): Promise<boolean> {
  return await unlessMissing(Deno.stat(path + MARK_SUFFIX)) !== undefined;
}

/** Whether what is there is what an interrupted run made of the same, untouched since. */
export async function isFinished(path: string, made: string): Promise<boolean> {
  const marked = await unlessMissing(Deno.readTextFile(path + MARK_SUFFIX));
  if (marked === undefined) return false;
  const output = await unlessMissing(Deno.readFile(path));
  return output !== undefined && marked.trim() === hashOf(made, output);
}

/** Takes an output's mark away, if it has one. */
export async function unmark(path: string): Promise<void> {
  await unlessMissing(Deno.remove(path + MARK_SUFFIX));
}
