/**
 * Who runs when: sentences of all requests wait in one bounded queue, are encoded together, and decode in one
 * continuous batch that they join and leave between steps.
 */
import { setImmediate } from "node:timers";
import { errorText, MoqeError } from "../base/errors.ts";
import type { SentenceLanguages } from "../experts/contract.ts";
import type { Candidates, TranslationModel } from "../nn/model.ts";
import type { ModelSpec } from "../nn/spec.ts";
import { decodeRows, encodeRows } from "./batch.ts";
import { PagePool } from "./pages.ts";
import type { Finished } from "./search.ts";
import { type Job, type Limits, type Request, type RunOptions, WaitingLine } from "./queue.ts";
import { pagesNeeded, rowsNeeded, Sequence } from "./sequence.ts";

interface Active {
  readonly request: Request;
  readonly index: number;
  readonly sequence: Sequence;
}

/** What the scheduler counts. */
export interface SchedulerStats {
  queue: { waiting: number; running: number };
  tokens: { source: number; target: number };
  steps: { encode: number; decode: number };
}

/**
 * Gives the event loop a turn, so that messages (cancellations, new requests) are seen between steps.
 * A timer of 0 ms takes 2 ms in Deno, more than a step of a small model.
 */
const yieldToEvents = () => new Promise<void>((resolve) => void setImmediate(resolve));

/** Runs the sentences of all requests on one model, which nobody else may use meanwhile. */
export class Scheduler {
  readonly #pool: PagePool;
  readonly #waiting: WaitingLine;
  #active: Active[] = [];
  #loop: Promise<void> | undefined;
  readonly #tokens = { source: 0, target: 0 };
  readonly #steps = { encode: 0, decode: 0 };
  /** Languages of the last pass; sentences of one request share one object. */
  #running: ReadonlySet<SentenceLanguages> = new Set();
  /** Sentences a second of late, for Retry-After. */
  #rate = 1;

  constructor(
    private readonly model: TranslationModel,
    private readonly spec: ModelSpec,
    private readonly limits: Limits,
  ) {
    this.#pool = new PagePool(model.pages);
    this.#waiting = new WaitingLine(limits.maxQueue);
  }

  /**
   * Queues the sentences of one request and resolves with the ended hypotheses of each, best first.
   * Throws MoqeError `too_large` (never fits), `overloaded` (does not fit now), `cancelled` (signal).
   */
  async run(jobs: readonly Job[], options: RunOptions = {}): Promise<Finished[][]> {
    if (jobs.length === 0) return [];
    this.#admit(jobs);
    return await new Promise((resolve, reject) => {
      const request: Request = {
        jobs,
        results: [],
        next: 0,
        done: 0,
        closed: false,
        onProgress: options.onProgress,
        onTokens: options.onTokens,
        resolve,
        reject,
      };
      const { signal } = options;
      if (signal?.aborted) return reject(cancelled());
      signal?.addEventListener("abort", () => this.#close(request, cancelled()), { once: true });
      this.#waiting.push(request);
      this.#loop ??= this.#run().finally(() => this.#loop = undefined);
    });
  }

  stats(): SchedulerStats {
    return {
      queue: { waiting: this.#waiting.length, running: this.#active.length },
      tokens: { ...this.#tokens },
      steps: { ...this.#steps },
    };
  }

  /** Resolves when nothing is waiting or running. */
  async idle(): Promise<void> {
    while (this.#loop !== undefined) await this.#loop;
  }

  #admit(jobs: readonly Job[]): void {
    for (const job of jobs) {
      const pages = pagesNeeded(job.source.length, job.beams, job.maxTokens);
      if (
        pages > this.#pool.count || job.source.length > this.limits.maxRows ||
        rowsNeeded(job.beams) > this.limits.maxRows
      ) {
        throw new MoqeError("too_large", {
          action: `translate a sentence of ${job.source.length} tokens with ${job.beams} beams`,
          rule:
            `it needs ${pages} K/V pages of ${this.#pool.count}, and ${this.limits.maxRows} rows are the most`,
          remedy: "ask for fewer beams or tokens, or raise --gpu-memory",
        });
      }
    }
    this.#waiting.admit(jobs.length, this.#rate);
  }

  async #run(): Promise<void> {
    while (this.#waiting.length > 0 || this.#active.length > 0) {
      const started = performance.now();
      const before = this.#active.length;
      await this.#encode(this.#start());
      await this.#decode();
      const finished = this.#sweep();
      if (finished > 0 || before > 0) {
        const seconds = (performance.now() - started) / 1e3;
        this.#rate = 0.95 * this.#rate + 0.05 * (finished / Math.max(seconds, 1e-6));
      }
      await yieldToEvents();
    }
  }

  /** Takes sentences from the queue, one of each request in turn, while rows and pages last. */
  #start(): Active[] {
    const started: Active[] = [];
    let tokens = 0;
    let rows = this.#active.reduce((n, a) => n + rowsNeeded(a.request.jobs[a.index]!.beams), 0);
    for (let turn = this.#waiting.peek(); turn !== undefined; turn = this.#waiting.peek()) {
      const { request, index, job } = turn;
      const fits = tokens + job.source.length <= this.limits.maxRows &&
        rows + rowsNeeded(job.beams) <= this.limits.maxRows;
      if (!fits || !this.#pool.promise(pagesNeeded(job.source.length, job.beams, job.maxTokens))) {
        break;
      }
      tokens += job.source.length;
      rows += rowsNeeded(job.beams);
      this.#waiting.take();
      started.push({ request, index, sequence: this.#sequence(job) });
    }
    return started;
  }

  #sequence(job: Job): Sequence {
    return new Sequence(
      this.#pool,
      (from, to) => this.model.copyPage(from, to),
      job.source.length,
      {
        beams: job.beams,
        lengthPenalty: job.lengthPenalty,
        maxTokens: job.maxTokens,
        earlyStopping: job.earlyStopping ?? false,
        eos: this.spec.tokens.eos,
        startToken: this.spec.tokens.decoderStart,
        languageToken: job.languageToken,
      },
    );
  }

  async #encode(batch: readonly Active[]): Promise<void> {
    if (batch.length === 0) return;
    this.#active.push(...batch);
    const sources = batch.map((a) => a.request.jobs[a.index]!.source);
    const rows = encodeRows(sources, this.spec.embedding);
    const places = new Int32Array(rows.ids.length);
    let t = 0;
    for (const { sequence } of batch) {
      for (let i = 0; i < sequence.sourceTokens; i++) places[t++] = sequence.crossPlace(i);
    }
    this.#tellLanguages(batch);
    try {
      await this.model.encode(rows, places);
      this.#steps.encode++;
      this.#tokens.source += rows.ids.length;
    } catch (error) {
      this.#fail(batch, error);
    }
  }

  async #decode(): Promise<void> {
    const live = this.#active.filter((a) => !a.request.closed && !a.sequence.search.done);
    if (live.length === 0) return;
    this.#tellLanguages(live);
    const entries = live.map((a) => ({ ...a, rows: a.sequence.rows() }));
    const count = Math.max(...live.map((a) => a.sequence.search.candidates));
    try {
      const found = await this.model.decode(decodeRows(entries, this.spec.embedding), count);
      this.#steps.decode++;
      let row = 0;
      for (const { sequence, rows } of entries) {
        const wanted = rows.flatMap((r, i) => r.wanted ? [continuations(found, row + i)] : []);
        row += rows.length;
        this.#tokens.target += wanted.length;
        sequence.advance(wanted);
      }
      for (const a of live) tellTokens(a);
    } catch (error) {
      this.#fail(live, error);
    }
  }

  /** Says what runs now, where that is not what ran before. */
  #tellLanguages(batch: readonly Active[]): void {
    const { onRunning } = this.limits;
    if (onRunning === undefined) return;
    const now = new Set(batch.flatMap((a) => a.request.jobs[a.index]!.languages ?? []));
    if (now.size === this.#running.size && now.isSubsetOf(this.#running)) return;
    this.#running = now;
    onRunning([...now]);
  }

  /** Takes ended and dropped sentences out of the batch; returns how many ended. */
  #sweep(): number {
    let ended = 0;
    this.#active = this.#active.filter(({ request, index, sequence }) => {
      if (!request.closed && !sequence.search.done) return true;
      sequence.close();
      if (request.closed) return false;
      ended++;
      request.results[index] = [...sequence.search.finished];
      request.done++;
      request.onProgress?.(request.done, request.jobs.length);
      if (request.done === request.jobs.length) {
        request.closed = true;
        request.resolve(request.results);
      }
      return false;
    });
    return ended;
  }

  /** A pass failed: the requests whose sentences were in it are answered with the error; the others go on. */
  #fail(batch: readonly Active[], error: unknown): void {
    const told = error instanceof MoqeError ? error : new MoqeError("internal", {
      action: "translate",
      rule: errorText(error),
      cause: error,
    });
    for (const a of batch) this.#close(a.request, told);
  }

  #close(request: Request, error: MoqeError): void {
    if (request.closed) return;
    request.closed = true;
    this.#waiting.remove(request);
    request.reject(error);
  }
}

/** Tells who listens what became certain of a sentence in this step. */
function tellTokens({ request, index, sequence: { search } }: Active): void {
  if (request.onTokens === undefined || request.closed) return;
  const { done } = search, tokens = done ? search.finished[0]?.tokens : search.certain;
  if (tokens !== undefined) request.onTokens({ sentence: index, tokens, done });
}

function cancelled(): MoqeError {
  return new MoqeError("cancelled", { action: "translate", rule: "the request was cancelled" });
}

function continuations(found: Candidates, row: number) {
  const at = row * found.count;
  return {
    ids: found.ids.subarray(at, at + found.count),
    logProbs: found.logProbs.subarray(at, at + found.count),
  };
}
