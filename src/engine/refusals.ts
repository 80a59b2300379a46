/** Errors that end a request from outside (its client, its time), or before it begins. */
import { MoqeError } from "../base/errors.ts";
import type { Job } from "./queue.ts";
import { pagesNeeded, rowsNeeded, sizeOf } from "./sequence.ts";

/** The client went away, or asked for no more. */
export function cancelled(): MoqeError {
  return new MoqeError("cancelled", { action: "translate", rule: "the request was cancelled" });
}

/** The time that the request was given is over. */
export function expired(timeoutMs: number): MoqeError {
  return new MoqeError("expired", {
    action: "translate",
    rule: `the request was to be answered within ${timeoutMs} ms`,
    remedy: "send less at once, or allow more time",
  });
}

/** Throws `too_large` for a sequence that `pagesInAll` and steps of `maxRows` could never take. */
export function refuseTooLarge(job: Job, pagesInAll: number, maxRows: number): void {
  const pages = pagesNeeded(sizeOf(job)), tokens = job.source?.length ?? job.prefix.length;
  const rows = Math.max(job.source?.length ?? 0, rowsNeeded(job.beams));
  if (pages <= pagesInAll && rows <= maxRows) return;
  throw new MoqeError("too_large", {
    action: `run a sequence of ${tokens} tokens with ${job.beams} beams`,
    rule: `it needs ${pages} K/V pages of ${pagesInAll}, and ${maxRows} rows are the most`,
    remedy: `ask for fewer beams or tokens, or raise ${
      rows > maxRows ? "--max-batch-tokens" : "--gpu-memory"
    }`,
  });
}
