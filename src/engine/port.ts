/** The way to an engine: a Worker, or this very thread where the host has no Workers. */
import { MoqeError } from "../base/errors.ts";
import { canStartWorker, workerUrl } from "../base/workers.ts";
import { type Command, ENGINE_WORKER_NAME, type Event } from "./protocol.ts";

/** Takes commands; events go to the function that it was opened with. */
export interface EnginePort {
  /** False where the engine runs on the caller's own thread. */
  readonly ownThread: boolean;
  send(command: Command): void;
  /** Ends the engine at once. No event comes afterwards. */
  terminate(): void;
}

/** Opens a way. `die` is told when the engine ends by itself. */
export function openPort(
  on: (event: Event) => void,
  die: (failure: MoqeError) => void,
): EnginePort {
  const url = workerUrl("./worker.ts", import.meta.url);
  return canStartWorker(url) ? workerPort(url, on, die) : localPort(on, die);
}

function workerPort(
  url: string,
  on: (event: Event) => void,
  die: (failure: MoqeError) => void,
): EnginePort {
  const worker = new Worker(url, { type: "module", name: ENGINE_WORKER_NAME });
  worker.onmessage = (message: MessageEvent<Event>) => on(message.data);
  worker.onerror = (event) => {
    event.preventDefault();
    die(new MoqeError("internal", { action: "run the engine", rule: event.message }));
  };
  return {
    ownThread: true,
    send: (command) => worker.postMessage(command),
    terminate: () => worker.terminate(),
  };
}

/**
 * The engine on this thread: between two steps it gives way to requests. What it is told and what it answers are the
 * messages that a Worker would get, one after the other.
 */
function localPort(
  on: (event: Event) => void,
  die: (failure: MoqeError) => void,
): EnginePort {
  let open = true;
  const send = (event: Event) => queueMicrotask(() => open && on(event));
  const answer = import("./worker.ts").then(({ answerCommands }) => answerCommands(send));
  return {
    ownThread: false,
    send: (command) =>
      void answer.then((take) => open ? take(command) : undefined).catch((cause) => {
        if (open) die(new MoqeError("internal", { action: "run the engine", rule: `${cause}` }));
      }),
    terminate: () => {
      open = false;
    },
  };
}
