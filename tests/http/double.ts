/** An engine without a model, for limits, errors, cancellation and the shapes of answers. It translates nothing. */
import { noFetches, noRetries } from "../../src/store/contract.ts";
import { GPU_LINES, HOST_LINES } from "../../src/base/ledger.ts";
import { createLogger } from "../../src/base/log.ts";
import { MoqeError } from "../../src/base/errors.ts";
import type {
  Engine,
  EngineState,
  EngineStats,
  GenerateOptions,
  GenerateParams,
  Generation,
  ModelInfo,
  TranslateOptions,
  TranslateParams,
  Translation,
} from "../../src/engine/protocol.ts";
import { Access } from "../../src/http/access/access.ts";
import { TrustedProxies } from "../../src/http/access/address.ts";
import { UsageMeter } from "../../src/http/access/meter.ts";
import { GlossaryStore } from "../../src/http/deepl/glossary_store.ts";
import { StateFolder } from "../../src/http/state.ts";
import { DocumentDesk } from "../../src/http/documents/desk.ts";
import { createApp } from "../../src/http/app.ts";
import { Gate } from "../../src/http/gate.ts";
import type { HttpLimits, HttpOptions } from "../../src/http/options.ts";

const INFO: ModelInfo = {
  name: "double",
  modelType: "nllb-moe",
  pairs: [
    { source: "eng_Latn", target: "deu_Latn" },
    { source: "eng_Latn", target: "fra_Latn" },
  ],
  licence: { id: "CC-BY-4.0" },
  provenance: { checkpoint: "none", quantizer: "none", packer: "none" },
  device: "none",
  batchInvariant: true,
  limits: { maxSourceTokens: 64, maxTargetTokens: 200, maxQueue: 4 },
};

/** Echoes "deu text"; holds answers until `release` while `held`; throws `refusal` when set. */
export class EngineDouble implements Engine {
  state: EngineState = "ready";
  info: ModelInfo | undefined = INFO;
  loaded = { doneBytes: 30, totalBytes: 120 };
  ready: Promise<ModelInfo> = Promise.resolve(INFO);
  refusal: unknown;
  held = false;
  readonly calls: TranslateParams[] = [];
  readonly timeouts: (number | undefined)[] = [];
  cancelled = 0;
  #waiting: (() => void)[] = [];

  async generate(params: GenerateParams, options: GenerateOptions = {}): Promise<Generation> {
    if (this.refusal !== undefined) throw this.refusal;
    if (this.held) await this.#hold(options.signal);
    const text = `after ${params.prompt ?? JSON.stringify(params.messages)}`;
    options.onText?.(text);
    return { text, promptTokens: 3, cachedTokens: 0, tokens: 4, finish: "stop" };
  }

  async translate(params: TranslateParams, options: TranslateOptions = {}): Promise<Translation[]> {
    this.calls.push(params);
    this.timeouts.push(options.timeoutMs);
    if (this.refusal !== undefined) throw this.refusal;
    if (this.held) await this.#hold(options.signal);
    return params.texts.map((text) => ({
      text: `${params.target.slice(0, 3)} ${text}`,
      alternatives: Array.from({ length: params.alternatives }, (_, i) => `${text} (${i + 1})`),
      sourceTokens: 3,
      targetTokens: 5,
    }));
  }

  release(): void {
    for (const go of this.#waiting.splice(0)) go();
  }

  /** Resolves when `count` calls have come. */
  async called(count: number): Promise<void> {
    while (this.calls.length < count) await new Promise((r) => setTimeout(r, 1));
  }

  stats(): Promise<EngineStats> {
    const lines = <L extends string>(names: readonly L[]) =>
      Object.fromEntries(names.map((n, i) => [n, i * 10])) as Record<L, number>;
    const total = { budgetBytes: 1000, usedBytes: 100, peakBytes: 200 };
    return Promise.resolve({
      ledger: {
        gpu: { ...total, lines: lines(GPU_LINES) },
        host: { ...total, lines: lines(HOST_LINES) },
      },
      experts: {
        slots: 8,
        slotBytes: 256,
        resident: 6,
        hits: 70,
        misses: 30,
        evictions: 24,
        loads: 30,
        loadedBytes: 7680,
        waves: 12,
        heat: {
          layers: [{ stack: "decoder", layer: 1, uses: [3, 0, 9], resident: [true, false, true] }],
          languages: { deu_Latn: { hits: 70, misses: 30 } },
        },
      },
      fetch: {
        ...noFetches(),
        requests: 31,
        bytes: 8000,
        blocks: 30,
        refused: 1,
        retries: 2,
        retriesBy: { ...noRetries(), reset: 2 },
      },
      prefetch: { asked: 40, came: 30, used: 20 },
      tiers: {
        ram: { blocks: 2, bytes: 512, hits: 5, misses: 25, evicted: 1, shrunk: 1 },
        disk: {
          hits: 20,
          misses: 5,
          readBytes: 5120,
          writtenBlocks: 5,
          writtenBytes: 1280,
          skipped: 0,
          dropped: 0,
          failures: 0,
        },
      },
      queue: { waiting: 1, running: 2 },
      tokens: { source: 300, target: 500 },
      steps: { encode: 4, decode: 40 },
    } as EngineStats);
  }

  close(): Promise<void> {
    this.state = "closed";
    return Promise.resolve();
  }

  #hold(signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push(resolve);
      signal?.addEventListener("abort", () => {
        this.cancelled++;
        reject(new MoqeError("cancelled", { action: "translate", rule: "the caller gave up" }));
      });
    });
  }
}

/** An application on a double, with its log lines. */
export function testApp(
  options:
    & { limits?: Partial<HttpLimits>; maxRequests?: number }
    & Partial<Omit<HttpOptions, "limits">> = {},
  prepare: (engine: EngineDouble) => void = () => {},
) {
  const engine = new EngineDouble();
  prepare(engine);
  const lines: string[] = [];
  const gate = new Gate(options.maxRequests ?? 8);
  const all: HttpOptions = {
    defaults: { beams: 4, lengthPenalty: 1, maxTokens: 256 },
    gate,
    log: createLogger("debug", (line) => lines.push(line)),
    access: new Access({ keys: [], anonymousPerMinute: 0, meter: new UsageMeter() }),
    proxies: new TrustedProxies([]),
    corsOrigins: [],
    admin: "open",
    detection: true,
    desk: new DocumentDesk({
      maxBytes: 300_000,
      maxDocumentBytes: 50_000,
      keepMs: 60_000,
      maxRunning: 1,
    }, gate),
    uploads: new Gate(2),
    glossaries: new GlossaryStore(new StateFolder(undefined), {
      maxGlossaries: 20,
      maxBytes: 100_000,
    }),
    ...options,
    limits: { maxBodyBytes: 4096, maxTexts: 4, maxChars: 100, ...options.limits },
  };
  return { app: createApp(engine, all), engine, gate, lines, options: all };
}

/** A POST of JSON to /translate. */
export function post(body: unknown, init: RequestInit = {}): Request {
  return new Request("http://localhost/translate", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: typeof body === "string" ? body : JSON.stringify(body),
    ...init,
  });
}
