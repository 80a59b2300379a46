/** The engine as the service sees it: a Worker behind the Engine interface. */
import { errorCode, errorText, MoqeError } from "../base/errors.ts";
import { workerUrl } from "../base/workers.ts";
import {
  type Command,
  type Engine,
  ENGINE_WORKER_NAME,
  type EngineOptions,
  type EngineState,
  type EngineStats,
  type Event,
  type ModelInfo,
  type TranslateOptions,
  type TranslateParams,
  type Translation,
  type WireError,
} from "./protocol.ts";

interface Pending<T> {
  resolve(value: T): void;
  reject(error: unknown): void;
  onProgress?: TranslateOptions["onProgress"];
}

/** Starts an engine in a Worker. Returns at once; `ready` tells when, or why never. */
export function startEngine(options: EngineOptions): Engine {
  return new WorkerEngine(options);
}

class WorkerEngine implements Engine {
  state: EngineState = "loading";
  info: ModelInfo | undefined;
  loaded = { doneBytes: 0, totalBytes: 0 };
  readonly ready: Promise<ModelInfo>;
  readonly #worker: Worker;
  readonly #translations = new Map<number, Pending<Translation[]>>();
  readonly #stats = new Map<number, Pending<EngineStats>>();
  readonly #ready: PromiseWithResolvers<ModelInfo>;
  readonly #closed = Promise.withResolvers<void>();
  #failure: MoqeError | undefined;
  #nextId = 1;

  constructor(options: EngineOptions) {
    this.#ready = Promise.withResolvers<ModelInfo>();
    this.ready = this.#ready.promise;
    // A caller that only polls `state` must not bring the process down.
    this.ready.catch(() => {});
    this.#worker = new Worker(workerUrl("./worker.ts", import.meta.url), {
      type: "module",
      name: ENGINE_WORKER_NAME,
    });
    this.#worker.onmessage = (message: MessageEvent<Event>) => this.#on(message.data);
    this.#worker.onerror = (event) => {
      event.preventDefault();
      this.#die(new MoqeError("internal", { action: "run the engine", rule: event.message }));
    };
    this.#send({ type: "start", options });
  }

  #send(command: Command): void {
    this.#worker.postMessage(command);
  }

  translate(params: TranslateParams, options: TranslateOptions = {}): Promise<Translation[]> {
    const refusal = this.#refusal();
    if (refusal !== undefined) return Promise.reject(refusal);
    const { signal } = options;
    if (signal?.aborted) return Promise.reject(cancelled());
    const id = this.#nextId++;
    const { promise, resolve, reject } = Promise.withResolvers<Translation[]>();
    this.#translations.set(id, { resolve, reject, onProgress: options.onProgress });
    const abort = () => this.#send({ type: "cancel", id });
    signal?.addEventListener("abort", abort, { once: true });
    this.#send({ type: "translate", id, params });
    return promise.finally(() => signal?.removeEventListener("abort", abort));
  }

  stats(): Promise<EngineStats> {
    if (this.state === "failed" || this.state === "closed") return Promise.reject(this.#refusal());
    const id = this.#nextId++;
    const { promise, resolve, reject } = Promise.withResolvers<EngineStats>();
    this.#stats.set(id, { resolve, reject });
    this.#send({ type: "stats", id });
    return promise;
  }

  close(): Promise<void> {
    if (this.state === "loading" || this.state === "failed") {
      // Nothing was accepted, so there is nothing to finish.
      this.#die(
        new MoqeError("cancelled", { action: "load the model", rule: "the engine was closed" }),
      );
    } else if (this.state === "ready") {
      this.state = "draining";
      this.#send({ type: "close" });
    }
    return this.#closed.promise;
  }

  #refusal(): MoqeError | undefined {
    if (this.state === "ready") return undefined;
    if (this.#failure !== undefined) return this.#failure;
    const why = { loading: "the model is still loading", draining: "the service is shutting down" };
    return new MoqeError("unavailable", {
      action: "translate",
      rule: why[this.state as "loading" | "draining"] ?? "the engine is closed",
    }, { retryAfterSeconds: 5 });
  }

  #on(event: Event): void {
    switch (event.type) {
      case "loading":
        this.loaded = { doneBytes: event.doneBytes, totalBytes: event.totalBytes };
        return;
      case "ready":
        this.state = "ready";
        this.info = event.info;
        return this.#ready.resolve(event.info);
      case "failed":
        return this.#die(fromWire(event.error));
      case "progress":
        return this.#translations.get(event.id)?.onProgress?.(
          event.doneSentences,
          event.totalSentences,
        );
      case "result":
        return take(this.#translations, event.id)?.resolve(event.translations);
      case "stats":
        return take(this.#stats, event.id)?.resolve(event.stats);
      case "error": {
        const pending = take(this.#translations, event.id) ?? take(this.#stats, event.id);
        return pending?.reject(fromWire(event.error));
      }
      case "closed":
        return this.#end("closed");
    }
  }

  /** The engine is gone: everyone who waits is told. */
  #die(failure: MoqeError): void {
    this.#failure = failure;
    this.#ready.reject(failure);
    this.#end("failed");
  }

  #end(state: "failed" | "closed"): void {
    this.state = state;
    this.#worker.terminate();
    const gone = this.#failure ??
      new MoqeError("unavailable", { action: "translate", rule: "the engine has stopped" });
    for (const p of [...this.#translations.values(), ...this.#stats.values()]) p.reject(gone);
    this.#translations.clear();
    this.#stats.clear();
    this.#closed.resolve();
  }
}

function take<T>(map: Map<number, Pending<T>>, id: number): Pending<T> | undefined {
  const pending = map.get(id);
  map.delete(id);
  return pending;
}

function cancelled(): MoqeError {
  return new MoqeError("cancelled", { action: "translate", rule: "the request was cancelled" });
}

/** An error made ready to cross the thread; its cause stays behind. */
export function toWire(error: unknown): WireError {
  if (error instanceof MoqeError) {
    const { action, rule, observed, remedy } = error.parts;
    return {
      code: error.code,
      parts: { action, rule, observed, remedy },
      retryAfterSeconds: error.retryAfterSeconds,
    };
  }
  return { code: errorCode(error), parts: { action: "run the engine", rule: errorText(error) } };
}

function fromWire(wire: WireError): MoqeError {
  const retry = wire.retryAfterSeconds;
  return new MoqeError(
    wire.code,
    wire.parts,
    retry === undefined ? {} : { retryAfterSeconds: retry },
  );
}
