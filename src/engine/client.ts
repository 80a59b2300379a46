/** The engine as the service sees it: a Worker behind the Engine interface. */
import { MoqeError } from "../base/errors.ts";
import { type EnginePort, openPort } from "./port.ts";
import type {
  Ask,
  Command,
  Engine,
  EngineOptions,
  EngineState,
  EngineStats,
  Event,
  GenerateOptions,
  GenerateParams,
  Generation,
  ModelInfo,
  TranslateOptions,
  TranslateParams,
  Translation,
} from "./protocol.ts";
import { cancelled } from "./refusals.ts";
import { fromWire } from "./wire.ts";

interface Pending<T> {
  resolve(value: T): void;
  reject(error: unknown): void;
  onProgress?: TranslateOptions["onProgress"];
  onText?: TranslateOptions["onText"];
}

/**
 * Starts an engine in a Worker, or on this thread where the host has no Workers. Returns at once; `ready` tells when
 * it answers, or why never.
 */
export function startEngine(options: EngineOptions): Engine {
  return new EngineClient(options);
}

class EngineClient implements Engine {
  state: EngineState = "loading";
  info: ModelInfo | undefined;
  loaded = { doneBytes: 0, totalBytes: 0 };
  readonly ready: Promise<ModelInfo>;
  readonly #port: EnginePort;
  readonly #asked = new Map<number, Pending<Translation[] | Generation>>();
  readonly #stats = new Map<number, Pending<EngineStats>>();
  readonly #ready: PromiseWithResolvers<ModelInfo>;
  readonly #closed = Promise.withResolvers<void>();
  #failure: MoqeError | undefined;
  /** Why the model is being loaded anew. */
  #lost: MoqeError | undefined;
  #nextId = 1;

  constructor(options: EngineOptions) {
    this.#ready = Promise.withResolvers<ModelInfo>();
    this.ready = this.#ready.promise;
    // A caller that only polls `state` must not bring the process down.
    this.ready.catch(() => {});
    this.#port = openPort((event) => this.#on(event), (failure) => this.#die(failure));
    // Threads are Workers too.
    const threads = this.#port.ownThread ? options.threads : 1;
    this.#send({ type: "start", options: { ...options, threads } });
  }

  #send(command: Command): void {
    this.#port.send(command);
  }

  async translate(params: TranslateParams, options?: TranslateOptions): Promise<Translation[]> {
    return await this.#ask({ kind: "translate", params }, options) as Translation[];
  }

  async generate(params: GenerateParams, options: GenerateOptions = {}): Promise<Generation> {
    const { onText } = options, piece = onText && ((_: number, text: string) => onText(text));
    const ask = { kind: "generate", params } as const;
    return await this.#ask(ask, { ...options, onText: piece }) as Generation;
  }

  #ask(ask: Ask, options: TranslateOptions = {}): Promise<Translation[] | Generation> {
    const refusal = this.#refusal();
    if (refusal !== undefined) return Promise.reject(refusal);
    const { signal } = options;
    if (signal?.aborted) return Promise.reject(cancelled());
    const id = this.#nextId++;
    const { promise, resolve, reject } = Promise.withResolvers<Translation[] | Generation>();
    const { onProgress, onText } = options;
    this.#asked.set(id, { resolve, reject, onProgress, onText });
    const abort = () => this.#send({ type: "cancel", id });
    signal?.addEventListener("abort", abort, { once: true });
    const { timeoutMs } = options;
    this.#send({ type: "ask", id, ask, stream: onText !== undefined, timeoutMs });
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
    const known = this.#failure ?? this.#lost;
    if (known !== undefined) return known;
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
        if (this.state === "loading") this.state = "ready";
        this.#lost = undefined;
        this.info = event.info;
        return this.#ready.resolve(event.info);
      case "lost":
        // It comes back by itself; meanwhile nothing is accepted.
        if (this.state === "ready") this.state = "loading";
        this.loaded = { doneBytes: 0, totalBytes: 0 };
        this.#lost = fromWire(event.error);
        return;
      case "failed":
        return this.#die(fromWire(event.error));
      case "progress":
        return this.#asked.get(event.id)?.onProgress?.(
          event.doneSentences,
          event.totalSentences,
        );
      case "text":
        return this.#asked.get(event.id)?.onText?.(event.text, event.piece);
      case "result":
        return take(this.#asked, event.id)?.resolve(event.answer);
      case "stats":
        return take(this.#stats, event.id)?.resolve(event.stats);
      case "error": {
        const pending = take(this.#asked, event.id) ?? take(this.#stats, event.id);
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
    this.#port.terminate();
    const gone = this.#failure ??
      new MoqeError("unavailable", { action: "translate", rule: "the engine has stopped" });
    for (const p of [...this.#asked.values(), ...this.#stats.values()]) p.reject(gone);
    this.#asked.clear();
    this.#stats.clear();
    this.#closed.resolve();
  }
}

function take<T>(map: Map<number, Pending<T>>, id: number): Pending<T> | undefined {
  const pending = map.get(id);
  map.delete(id);
  return pending;
}
