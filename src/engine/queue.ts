/** Sequences that wait: one bounded line of requests, served in turn. */
import { MoqeError } from "../base/errors.ts";
import type { SentenceLanguages } from "../experts/contract.ts";
import type { DecodeCounts, StepMode } from "./decoder.ts";
import type { Finished } from "./search.ts";

/** A sequence to extend. */
export interface Job {
  /** Tokens that it begins with; at least one. */
  readonly prefix: readonly number[];
  /** How many of the prefix's last tokens count as generated, as a language token does; 0 unless given. */
  readonly forced?: number | undefined;
  /** What the encoder reads: [src_lang] tokens end, or a prompt; undefined where the model has no encoder. */
  readonly source?: Int32Array | undefined;
  /** For the expert cache, which learns by language. */
  readonly languages?: SentenceLanguages;
  readonly beams: number;
  readonly lengthPenalty: number;
  readonly maxTokens: number;
  /** Stop as soon as `beams` hypotheses have ended, as transformers' early_stopping. */
  readonly earlyStopping?: boolean;
}

/** What bounds the batch and the queue. */
export interface Limits {
  /** Tokens of an encoder batch, and rows of a decoder step. */
  readonly maxRows: number;
  /** Sentences that may wait. */
  readonly maxQueue: number;
  /** Told of the languages of each pass's sentences, where these are not the last pass's. */
  readonly onRunning?: (languages: readonly SentenceLanguages[]) => void;
  /** Told before a batch is encoded. */
  readonly onEncoding?: () => void;
  /** How decoder steps run; "auto" unless a test or a benchmark wants one kind. */
  readonly steps?: StepMode;
}

/** What accompanies the sentences of one request. */
export interface RunOptions {
  signal?: AbortSignal | undefined;
  /** Time from now on after which the request is answered with `expired` and all it holds is free. */
  timeoutMs?: number | undefined;
  onProgress?: ((doneSentences: number, totalSentences: number) => void) | undefined;
  /**
   * What is certain of a sentence's translation, as it becomes so: under greedy search after each token, under
   * beam search when the sentence has ended. Called between steps: it must be quick and must not throw.
   */
  onTokens?: ((partial: PartialTokens) => void) | undefined;
  /** Told when a sequence starts: its index, and how many of its prefix's tokens need not be run. */
  onStarted?: ((sentence: number, cachedTokens: number) => void) | undefined;
}

/** The tokens of one sentence that will not change any more. */
export interface PartialTokens {
  /** Index among the request's sentences. */
  readonly sentence: number;
  /** All of them so far, language token first; without the end token while `done` is false. */
  readonly tokens: readonly number[];
  readonly done: boolean;
}

/** Sentences that came together and are answered together. */
export interface Request {
  readonly jobs: readonly Job[];
  readonly results: Finished[][];
  /** Index of the next job to start. */
  next: number;
  done: number;
  /** Set once answered; nothing runs for it any more. */
  closed: boolean;
  onProgress: RunOptions["onProgress"];
  onTokens?: RunOptions["onTokens"];
  onStarted?: RunOptions["onStarted"];
  resolve(results: Finished[][]): void;
  reject(error: unknown): void;
}

/**
 * Requests with sentences yet to start; served in turn, one sentence each, so that a long one blocks nobody.
 * Never holds more than `places` sentences.
 */
export class WaitingLine {
  readonly #requests: Request[] = [];

  constructor(readonly places: number) {}

  get requests(): readonly Request[] {
    return this.#requests;
  }

  /** Sentences that wait. */
  get length(): number {
    return this.#requests.reduce((n, r) => n + r.jobs.length - r.next, 0);
  }

  /** Throws `too_large` for more sentences than there are places, `overloaded` for more than are free. */
  admit(count: number, sentencesASecond: number): void {
    const waiting = this.length;
    if (count > this.places) {
      throw new MoqeError("too_large", {
        action: `translate ${count} sentences in one request`,
        rule: `the queue holds ${this.places}`,
        remedy: "send fewer at once, or raise --max-queue",
      });
    }
    if (waiting + count > this.places) {
      throw new MoqeError("overloaded", {
        action: `queue ${count} sentences`,
        rule: `${waiting} of ${this.places} places are taken`,
        remedy: "try again later",
      }, { retryAfterSeconds: Math.min(60, Math.max(1, Math.ceil(waiting / sentencesASecond))) });
    }
  }

  push(request: Request): void {
    this.#requests.push(request);
  }

  /** The sentence whose turn it is; it keeps its turn until `take`. */
  peek(): { request: Request; index: number; job: Job } | undefined {
    const request = this.#requests[0];
    return request && { request, index: request.next, job: request.jobs[request.next]! };
  }

  /** Starts the sentence whose turn it is; its request goes to the end of the line if it has more. */
  take(): void {
    const request = this.#requests.shift()!;
    request.next++;
    if (request.next < request.jobs.length) this.#requests.push(request);
  }

  /** Drops a request that was answered. */
  remove(request: Request): void {
    const at = this.#requests.indexOf(request);
    if (at >= 0) this.#requests.splice(at, 1);
  }
}

/** What the scheduler counts. */
export interface SchedulerStats {
  queue: { waiting: number; running: number; parked: number };
  /** `cached`: of prefixes, those whose K and V were there already. */
  tokens: { source: number; target: number; cached: number };
  steps: { encode: number; decode: number };
  decode: DecodeCounts;
  /** Sequences that gave their pages up for older ones. */
  preempted: number;
}
