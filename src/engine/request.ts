/** A request's life beside the scheduler: its promise, its client's signal and its time. */
import type { MoqeError } from "../base/errors.ts";
import type { Job, Request, RunOptions } from "./queue.ts";
import { cancelled, expired } from "./refusals.ts";
import type { Finished } from "./search.ts";

/**
 * Makes a request of jobs. `end` is called once, when its client leaves or its time is over before it is answered;
 * `answer` resolves with the ended hypotheses of each job, or rejects. Throws MoqeError `cancelled` for a client that has
 * left already.
 */
export function openRequest(
  jobs: readonly Job[],
  options: RunOptions,
  end: (request: Request, error: MoqeError) => void,
): { request: Request; answer: () => Promise<Finished[][]> } {
  const { signal, timeoutMs, onProgress, onTokens, onStarted } = options;
  if (signal?.aborted) throw cancelled();
  const { promise, resolve, reject } = Promise.withResolvers<Finished[][]>();
  const request: Request = {
    jobs,
    results: [],
    next: 0,
    done: 0,
    closed: false,
    onProgress,
    onTokens,
    onStarted,
    resolve,
    reject,
  };
  const abort = () => end(request, cancelled());
  signal?.addEventListener("abort", abort, { once: true });
  const timer = timeoutMs === undefined
    ? undefined
    : setTimeout(() => end(request, expired(timeoutMs)), timeoutMs);
  const answer = async () => {
    try {
      return await promise;
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener("abort", abort);
    }
  };
  return { request, answer };
}
