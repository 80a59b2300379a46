/**
 * What the HTTP thread and the engine Worker say to each other: plain structured-clone messages.
 * The host sends Command, the Worker answers with Event. Every ask is answered by exactly one `result` or `error` with
 * its id, also after `cancel`.
 */
import type { ErrorCode, ErrorParts } from "../base/errors.ts";
import type { KvBits } from "../backend/contract.ts";
import type { LedgerSnapshot } from "../base/ledger.ts";
import type { FetchStats } from "../store/contract.ts";
import type { ChatMessage } from "../text/chat_template.ts";
import type { SplitSentences } from "../text/documents/contract.ts";
import type { Shared } from "./shares.ts";
import type { TierStats } from "./tiers.ts";
import type { PrefetchStats } from "../experts/prefetch.ts";
import type { ResidencyStats } from "../experts/contract.ts";

/** Name of the Worker: a one-file bundle starts itself and tells by this name that it is the engine. */
export const ENGINE_WORKER_NAME = "moqe-engine";

/** Everything the engine needs to start. Sizes in bytes. */
export interface EngineOptions {
  /** Address of the packed model: a folder, file:, http:, https: or s3: URL. */
  model: string;
  /** Addresses of the same model, for blocks that come wrong or not at all. */
  mirrors?: readonly string[] | undefined;
  manifestSha256?: string | undefined;
  device: "auto" | "cpu" | "webgpu";
  gpuMemory: number;
  hostMemory: number;
  /** What else the process may hold at most: it is taken from the host budget before the model is read. */
  serviceBytes?: number | undefined;
  /** Other models of the process: both budgets above are this one's share. */
  shared?: Shared | undefined;
  /** Where blocks are kept between runs, and how many bytes of them; none where left out. */
  diskCache?: { folder: string; bytes: number } | undefined;
  /** Threads that share large products on the CPU, the engine's own included. */
  threads: number;
  /**
   * Tokens (source tokens of an encoder batch; running rows of a decode step) in one forward pass, which has room for one
   * sentence of the longest kind in any case. No answer depends on it.
   */
  maxBatchTokens: number;
  /** Sentences that may wait; one more is refused. */
  maxQueue: number;
  /** Source tokens of one sentence; longer ones are cut at punctuation, then at spaces. */
  maxSourceTokens: number;
  /** Tokens of one sequence of a model without an encoder, prompt and answer together. */
  maxContextTokens?: number | undefined;
  /** Bits of an element of the K/V cache; 16 unless given. */
  kvBits?: KvBits | undefined;
  /** Time without a request after which trunk and arenas are given back until the next one; 0 or left out: never. */
  idleUnloadMs?: number | undefined;
  /** Bring likely experts in before they are asked for; true unless said. */
  prefetch?: boolean | undefined;
  /** Share of the expert slots that is the encoder's by right; the policy decides where left out. */
  encoderShare?: number | undefined;
  /** Fewer expert slots than the budget would hold: for measuring small arenas. */
  maxSlots?: number | undefined;
}

export interface TranslateParams {
  texts: string[];
  /** FLORES-200 codes: eng_Latn, deu_Latn. */
  source: string;
  target: string;
  /** Beam width; 1 is greedy. */
  beams: number;
  /** score = sum of log-probabilities / tokens ^ lengthPenalty. */
  lengthPenalty: number;
  /** Most tokens of one sentence's translation. */
  maxTokens: number;
  /** Further translations of each text from the beam, at most beams - 1. */
  alternatives: number;
  /** Where sentences end; "on" unless given. Texts that are sentences already come with "off". */
  split?: SplitSentences | undefined;
}

/** What to continue: a prompt as it is, or a chat in the model's own template. One of both. */
export interface GenerateParams {
  prompt?: string | undefined;
  messages?: ChatMessage[] | undefined;
  /** Beam width; 1 is greedy. */
  beams: number;
  /** As for translations. */
  lengthPenalty: number;
  /** Most tokens of the answer. */
  maxTokens: number;
}

/** An answer. */
export interface Generation {
  text: string;
  promptTokens: number;
  /** Of the prompt, those that were run before and are still known. */
  cachedTokens: number;
  /** Of the answer, its end included. */
  tokens: number;
  /** Whether the model ended it, or a limit did. */
  finish: "stop" | "length";
}

/** What a request asks of the engine. */
export type Ask =
  | { kind: "translate"; params: TranslateParams }
  | { kind: "generate"; params: GenerateParams };

/** One text's translation; tokens are summed over its sentences. */
export interface Translation {
  text: string;
  alternatives: string[];
  sourceTokens: number;
  targetTokens: number;
}

export interface ModelInfo {
  name: string;
  modelType: string;
  /** Pairs of FLORES-200 codes that the model was trained for. */
  pairs: { source: string; target: string }[];
  licence: { id: string; text?: string | undefined };
  provenance: { checkpoint: string; quantizer: string; packer: string };
  /** Backend and adapter in words. */
  device: string;
  /** False where the start-up self-test of batch invariance found that bits differ. */
  batchInvariant: boolean;
  limits: {
    maxSourceTokens: number;
    maxTargetTokens: number;
    maxQueue: number;
    /** Prompt and answer together; left out for a model that only translates. */
    maxContextTokens?: number | undefined;
  };
}

/** Whether a model (of several: one of them) is asked for translations by a prompt, and generates. */
export function isPrompted({ limits }: Pick<ModelInfo, "limits">): boolean {
  return limits.maxContextTokens !== undefined;
}

/** What the engine counts, for /metrics. */
export interface EngineStats {
  ledger: LedgerSnapshot;
  experts: ResidencyStats;
  fetch: FetchStats;
  tiers: TierStats;
  prefetch: PrefetchStats;
  queue: { waiting: number; running: number; parked?: number };
  tokens: { source: number; target: number; cached?: number };
  steps: { encode: number; decode: number };
  /** Decoder steps by kind, and the sentences that waited for an expert beside them. */
  decode?: { parkSteps: number; waveSteps: number; faults: number };
}

/** A MoqeError that crosses the thread. */
export interface WireError {
  code: ErrorCode;
  parts: Omit<ErrorParts, "cause">;
  retryAfterSeconds?: number | undefined;
}

export type Command =
  | { type: "start"; options: EngineOptions }
  /** With `stream`, `text` events come before the result. */
  | {
    type: "ask";
    id: number;
    ask: Ask;
    stream: boolean;
    timeoutMs: number | undefined;
  }
  | { type: "cancel"; id: number }
  | { type: "stats"; id: number }
  /** Finish what was accepted, accept nothing more, then answer `closed`. */
  | { type: "close" };

export type Event =
  | { type: "loading"; doneBytes: number; totalBytes: number }
  | { type: "ready"; info: ModelInfo }
  | { type: "failed"; error: WireError }
  /** The device is gone: what was accepted is answered with this error, and the model is loaded anew. */
  | { type: "lost"; error: WireError }
  | { type: "progress"; id: number; doneSentences: number; totalSentences: number }
  /** The next piece of a text's translation or of an answer (text 0), certain and in order. */
  | { type: "text"; id: number; text: number; piece: string }
  | { type: "result"; id: number; answer: Translation[] | Generation }
  | { type: "error"; id: number; error: WireError }
  | { type: "stats"; id: number; stats: EngineStats }
  | { type: "closed" };

export type EngineState = "loading" | "ready" | "failed" | "draining" | "closed";

/** The engine as the service and the commands see it, whichever thread it runs in. */
export interface Engine {
  readonly state: EngineState;
  /** Resolves when the model answers; rejects with the reason why it never will. */
  readonly ready: Promise<ModelInfo>;
  /** Known once ready. */
  readonly info: ModelInfo | undefined;
  /** Bytes of the trunk read so far, for progress. */
  readonly loaded: { doneBytes: number; totalBytes: number };
  /**
   * Throws MoqeError: `bad_input` (untrained pair, empty), `too_large`, `overloaded` (queue full, with
   * retryAfterSeconds), `cancelled` (signal), `expired` (timeoutMs), `unavailable` (not ready, store or device gone), `internal`.
   */
  translate(params: TranslateParams, options?: TranslateOptions): Promise<Translation[]>;
  /** Throws as `translate` does; `unsupported` for a model that only translates, or has no chat template. */
  generate(params: GenerateParams, options?: GenerateOptions): Promise<Generation>;
  stats(): Promise<EngineStats>;
  /** Finishes what was accepted, then stops the Worker. */
  close(): Promise<void>;
}

/** What accompanies a translation and does not change it. */
export interface TranslateOptions {
  signal?: AbortSignal | undefined;
  /** Time from the engine's acceptance on after which the answer is the error `expired`. */
  timeoutMs?: number | undefined;
  onProgress?: ((doneSentences: number, totalSentences: number) => void) | undefined;
  /**
   * Gets each text's translation as it comes: by tokens under greedy search, by sentences under beam search. The
   * pieces of a text joined are its translation.
   */
  onText?: ((text: number, piece: string) => void) | undefined;
}

/** What accompanies a generation and does not change it. */
export interface GenerateOptions extends Pick<TranslateOptions, "signal" | "timeoutMs"> {
  /** Gets the answer as it comes: by tokens under greedy search, whole under beam search. */
  onText?: ((piece: string) => void) | undefined;
}
