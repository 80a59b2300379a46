/** Ctrl-C and SIGTERM: the first asks for a clean end, a later one ends at once. */
import { MoqeError } from "../base/errors.ts";
import { EXIT } from "./command.ts";

const SIGNALS: readonly Deno.Signal[] = Deno.build.os === "windows"
  ? ["SIGINT", "SIGBREAK"]
  : ["SIGINT", "SIGTERM"];

/** Runners (deno task, npx) send Ctrl-C on to a process that the terminal has sent it to: these are one. */
const SAME_SIGNAL_MS = 500;

/** Aborts at the first signal. Give it up with `dispose` when there is nothing left to end cleanly. */
export interface Interrupt {
  readonly signal: AbortSignal;
  [Symbol.dispose](): void;
}

/** Listens from now on. */
export function listenForInterrupt(): Interrupt {
  const controller = new AbortController();
  let first: number | undefined;
  const onSignal = () => {
    const now = performance.now();
    if (now - (first ??= now) > SAME_SIGNAL_MS) Deno.exit(EXIT.interrupted);
    controller.abort(new MoqeError("cancelled", { action: "go on", rule: "interrupted" }));
  };
  for (const name of SIGNALS) Deno.addSignalListener(name, onSignal);
  return {
    signal: controller.signal,
    [Symbol.dispose]() {
      for (const name of SIGNALS) Deno.removeSignalListener(name, onSignal);
    },
  };
}

/** A promise's result, or the signal's reason if that comes first. The promise goes on unseen. */
export function orAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  if (signal.aborted) return Promise.reject(signal.reason);
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason);
    signal.addEventListener("abort", abort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
  });
}
