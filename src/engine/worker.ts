/** The engine's Worker: answers the protocol's commands, one engine a Worker. */
import { errorCode, MoqeError } from "../base/errors.ts";
import { isWorkerNamed } from "../base/workers.ts";
import { type Inside, type LoadedEngine, loadEngine } from "./load.ts";
import {
  type Command,
  ENGINE_WORKER_NAME,
  type Event,
  type Generation,
  type Translation,
} from "./protocol.ts";
import { keepAlive } from "./revive.ts";
import { type Remains, Sleeper } from "./sleeper.ts";
import { toWire } from "./wire.ts";

/** The part of a Worker's global scope that the engine uses. */
interface WorkerScope {
  readonly name: string;
  onmessage: ((message: MessageEvent<Command>) => Promise<void>) | null;
  postMessage(event: Event): void;
}

/** Takes over this Worker's messages. */
export function serveEngineWorker(): void {
  const scope = globalThis as unknown as WorkerScope;
  const answer = answerCommands((event) => scope.postMessage(event));
  scope.onmessage = ({ data: command }) => answer(command);
}

/** An engine that is told by calls: each command is answered by `send`, one engine a call of this. */
export function answerCommands(
  send: (event: Event) => void,
  inside: Inside = {},
): (command: Command) => Promise<void> {
  const cancels = new Map<number, AbortController>();
  let loading: Promise<Sleeper> | undefined;

  const answer = async (command: Command & { type: "ask" }) => {
    const { id, ask, stream, timeoutMs } = command;
    const tell = (text: number, piece: string) => send({ type: "text", id, text, piece });
    const stop = new AbortController();
    cancels.set(id, stop);
    try {
      const sleeper = await loading!;
      const answer = await sleeper.use<Translation[] | Generation>((engine, left) => {
        if (ask.kind === "generate") {
          const onText = stream ? (piece: string) => tell(0, piece) : undefined;
          return engine.generate(ask.params, { ...left, onText });
        }
        const onProgress = (doneSentences: number, totalSentences: number) =>
          send({ type: "progress", id, doneSentences, totalSentences });
        const onText = stream ? tell : undefined;
        return engine.translate(ask.params, { ...left, onProgress, onText });
      }, { signal: stop.signal, timeoutMs });
      send({ type: "result", id, answer });
    } catch (error) {
      send({ type: "error", id, error: toWire(error) });
    } finally {
      cancels.delete(id);
    }
  };

  return async (command) => {
    if (command.type === "start") {
      const { options } = command;
      const load = (before?: Remains, isLast = false) =>
        loadEngine(
          // A GPU that was lost may take a while to come back: "auto" would be content with the CPU, for good.
          before?.device === "webgpu" && !isLast ? { ...options, device: "webgpu" } : options,
          (doneBytes, totalBytes) => send({ type: "loading", doneBytes, totalBytes }),
          { ...inside, rssBytes: before?.rssBytes },
        );
      const failed = (error: unknown) => send({ type: "failed", error: toWire(error) });
      const back = ({ info }: LoadedEngine) => send({ type: "ready", info });
      loading = load().then((engine) => {
        const watch = (engine: LoadedEngine) =>
          keepAlive(engine, (isLast) => load(engine, isLast), {
            current: (next) => sleeper.replace(next),
            lost: (why) => send({ type: "lost", error: toWire(why) }),
            back,
            failed,
          });
        const sleeper = new Sleeper(engine, {
          idleMs: options.idleUnloadMs ?? 0,
          load: (before) =>
            load(before).catch((error) => {
              // The GPU that it slept on is gone: the CPU is better than nothing.
              const isGone = options.device === "auto" && before.device === "webgpu" &&
                errorCode(error) === "unavailable";
              if (!isGone) throw error;
              return load(before, true);
            }),
          woke: watch,
        });
        watch(engine);
        back(engine);
        return sleeper;
      });
      loading.catch(failed);
    } else if (loading === undefined) {
      throw new MoqeError("internal", {
        action: command.type,
        rule: "the first command must be start",
      });
    } else if (command.type === "ask") {
      await answer(command);
    } else if (command.type === "cancel") {
      cancels.get(command.id)?.abort();
    } else if (command.type === "stats") {
      const { id } = command;
      const engine = await loading.then((s) => s.current()).catch(() => undefined);
      if (engine !== undefined) send({ type: "stats", id, stats: engine.stats() });
    } else {
      await loading.then((s) => s.close()).catch(() => {});
      send({ type: "closed" });
    }
  };
}

if (isWorkerNamed(ENGINE_WORKER_NAME)) serveEngineWorker();
