/** A signal that says "the client went away", and nothing else. */

/**
 * Runs `work` with a signal that aborts when the client leaves before `work` is done.
 *
 * Deno aborts request.signal also after a successful response (unless run with --unstable-no-legacy-abort),
 * so the link is cut as soon as the work is done: a finished request never counts as cancelled.
 */
export async function whileConnected<T>(
  request: Request,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const controller = new AbortController();
  const abort = () => controller.abort(request.signal.reason);
  if (request.signal.aborted) abort();
  request.signal.addEventListener("abort", abort, { once: true });
  try {
    return await work(controller.signal);
  } finally {
    request.signal.removeEventListener("abort", abort);
  }
}
