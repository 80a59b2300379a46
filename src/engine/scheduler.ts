/**
 * Sequences of all requests wait in one bounded queue, are encoded or prefilled together, and decode in one continuous
 * batch that they join and leave between steps. These passes and decoder steps alternate on the device.
 */
import { errorText, MoqeError } from "../base/errors.ts";
import type { SentenceLanguages } from "../experts/contract.ts";
import type { SequenceModel } from "../nn/model.ts";
import type { ModelSpec } from "../nn/spec.ts";
import { yieldToEvents } from "./breaths.ts";
import { type Active, canDecode, pagesForChunk, pagesForStep, tellTokens } from "./active.ts";
import { Decoder, type Decoding } from "./decoder.ts";
import { PagePool } from "./pages.ts";
import { Preemption, rowsOf } from "./preemption.ts";
import { PrefixCache } from "./prefix_cache.ts";
import { PrefixPasses } from "./prefix_passes.ts";
import type { Finished } from "./search.ts";
import { refuseTooLarge } from "./refusals.ts";
import { openRequest } from "./request.ts";
import {
  type Job,
  type Limits,
  type Request,
  type RunOptions,
  type SchedulerStats,
  WaitingLine,
} from "./queue.ts";
import { rowsNeeded, Sequence } from "./sequence.ts";
import { Turns } from "./turns.ts";

/** Runs the sentences of all requests on one model, which nobody else may use meanwhile. */
export class Scheduler {
  readonly #pool: PagePool;
  readonly #cache: PrefixCache | undefined;
  readonly #waiting: WaitingLine;
  readonly #turns = new Turns();
  readonly #prefixes: PrefixPasses;
  readonly #decoder: Decoder;
  readonly #active: Active[] = [];
  readonly #preemption: Preemption;
  /** Dropped while a pass writes to their pages: closed when it ends. */
  readonly #closing: Sequence[] = [];
  #loop: Promise<void> | undefined;
  #ended: MoqeError | undefined;
  readonly #tokens = { source: 0, target: 0, cached: 0 };
  readonly #steps = { encode: 0, decode: 0 };
  /** Of the last pass; sentences of one request share one object. */
  #running: ReadonlySet<SentenceLanguages> = new Set();
  /** Sentences a second of late, for Retry-After. */
  #rate = 1;

  constructor(
    private readonly model: SequenceModel,
    private readonly spec: ModelSpec,
    private readonly limits: Limits,
  ) {
    this.#pool = new PagePool(model.pages);
    // With an encoder, K and V depend on the source as well.
    this.#cache = spec.encoder === undefined ? new PrefixCache(this.#pool) : undefined;
    this.#waiting = new WaitingLine(limits.maxQueue);
    const { maxRows, steps } = limits;
    this.#prefixes = new PrefixPasses(model, spec, this.#turns, maxRows);
    this.#decoder = new Decoder(model, spec, { maxRows, mode: steps ?? "auto" });
    this.#preemption = new Preemption({
      pool: this.#pool,
      decoder: this.#decoder,
      prefixes: this.#prefixes,
      active: this.#active,
      maxRows,
    });
  }

  /**
   * Queues the sentences of one request and resolves with the ended hypotheses of each, best first.
   * Throws MoqeError `too_large` (never fits), `overloaded` (does not fit now), `expired` (timeoutMs),
   * `cancelled` (signal); the last two free all that the request holds at once.
   */
  async run(jobs: readonly Job[], options: RunOptions = {}): Promise<Finished[][]> {
    if (jobs.length === 0) return [];
    if (this.#ended !== undefined) throw this.#ended;
    this.#admit(jobs);
    const { request, answer } = openRequest(jobs, options, (r, error) => this.#close(r, error));
    this.#waiting.push(request);
    this.#decoder.nudge();
    this.#loop ??= this.#run().finally(() => this.#loop = undefined);
    return await answer();
  }

  /** Answers every request, waiting, running or yet to come, with an error. */
  failAll(error: MoqeError): void {
    this.#ended = error;
    const requests = new Set([...this.#active, ...this.#preemption.waiting].map((a) => a.request));
    for (const r of [...requests, ...this.#waiting.requests]) this.#close(r, error);
  }

  stats(): SchedulerStats {
    return {
      queue: {
        waiting: this.#waiting.length,
        running: this.#active.length + this.#preemption.waiting.length,
        parked: this.#active.filter((a) => a.parked !== undefined).length,
      },
      tokens: { ...this.#tokens },
      steps: { ...this.#steps },
      decode: { ...this.#decoder.counts },
      preempted: this.#preemption.count,
    };
  }

  /** Resolves when nothing is waiting or running. */
  async idle(): Promise<void> {
    while (this.#loop !== undefined) await this.#loop;
  }

  /** Throws what `run` would for so many sentences of one request, so that no more of them is made ready. */
  refuseTooMany(count: number): void {
    this.#waiting.admit(count, this.#rate);
  }

  #admit(jobs: readonly Job[]): void {
    for (const job of jobs) refuseTooLarge(job, this.#pool.count, this.limits.maxRows);
    this.#waiting.admit(jobs.length, this.#rate);
  }

  async #run(): Promise<void> {
    let since = performance.now();
    const count = () =>
      this.#waiting.length + this.#active.length + this.#preemption.waiting.length;
    while (count() > 0 || this.#prefixes.busy) {
      const began = this.#beginPass();
      const ran = await this.#decode();
      const finished = this.#sweep();
      const now = performance.now();
      this.#rate = 0.95 * this.#rate + 0.05 * 1e3 * finished / Math.max(now - since, 1e-3);
      since = now;
      // All wait for experts: the next to come wakes this, as do a request and the end of a pass.
      const waits = this.#active.length > 0 || this.#prefixes.busy;
      if (waits && !began && ran === 0 && finished === 0) await this.#decoder.changed();
      await yieldToEvents();
    }
  }

  /** Begins a pass over given tokens where one is due and none is under way; says whether one began. */
  #beginPass(): boolean {
    // It runs in waves, which need a slot that no hold has.
    const { residency } = this.model;
    const noSlot = residency.arenas.length > 0 && residency.room < 1;
    if (noSlot || this.#prefixes.busy) return false;
    this.#preemption.resume();
    if (this.#preemption.waiting.length === 0) this.#active.push(...this.#admitWaiting());
    const fresh = this.#active.filter((a) => a.needsMemory);
    if (fresh.length > 0) {
      this.#pass(fresh, async () => {
        this.limits.onEncoding?.();
        this.#tokens.source += await this.#prefixes.encode(fresh);
        this.#steps.encode++;
        for (const a of fresh) a.needsMemory = false;
      });
      return true;
    }
    const long = this.#preemption.withPages(
      this.#active.filter((a) => a.sequence.prefillTokens > 0),
      (of) => pagesForChunk(of, this.limits.maxRows),
    );
    if (long.length === 0) return false;
    this.#pass(long, async () => {
      this.#tokens.source += await this.#prefixes.prefill(
        long,
        long.length === this.#active.length,
      );
      this.#steps.encode++;
    });
    return true;
  }

  /** Takes sequences from the queue, one of each request in turn, while rows and pages last. */
  #admitWaiting(): Active[] {
    const started: Active[] = [];
    let tokens = 0;
    let rows = this.#active.reduce((n, a) => n + rowsOf(a), 0);
    for (let turn = this.#waiting.peek(); turn !== undefined; turn = this.#waiting.peek()) {
      const { request, index, job } = turn;
      const sourceTokens = job.source?.length ?? 0;
      const fits = tokens + sourceTokens <= this.limits.maxRows &&
        rows + rowsNeeded(job.beams) <= this.limits.maxRows;
      if (!fits || !Sequence.promise(this.#pool, job)) break;
      tokens += sourceTokens;
      rows += rowsNeeded(job.beams);
      this.#waiting.take();
      const sequence = this.#sequence(job), { source } = job;
      this.#tokens.cached += sequence.cachedTokens;
      request.onStarted?.(index, sequence.cachedTokens);
      started.push({ request, index, source, sequence, needsMemory: source !== undefined });
    }
    return started;
  }

  #sequence(job: Job): Sequence {
    return new Sequence(job, {
      pool: this.#pool,
      copyPage: (from, to) => this.model.copyPage(from, to),
      eos: this.spec.tokens.eos,
      cache: this.#cache,
    });
  }

  /** Runs a pass over given tokens of a batch, beside decoder steps where it waits. */
  async #pass(batch: readonly Active[], run: () => Promise<void>): Promise<void> {
    try {
      this.#tellLanguages();
      await run();
    } catch (error) {
      this.#fail(batch, error);
    }
    for (const s of this.#closing.splice(0)) s.close();
    this.#decoder.nudge();
  }

  /** One step of those that can; returns how many sentences ran. */
  async #decode(): Promise<number> {
    return await this.#turns.run(async (pause) => {
      const live = this.#preemption.withPages(
        this.#active.filter(canDecode),
        pagesForStep,
      );
      if (live.length === 0) return 0;
      this.#tellLanguages();
      try {
        const failed = (s: Decoding, error: unknown) => this.#fail([s as Active], error);
        const { ran, tokens } = await this.#decoder.step(live, failed, pause);
        if (ran.length > 0) this.#steps.decode++;
        this.#tokens.target += tokens;
        for (const a of ran) if (a.parked === undefined) tellTokens(a as Active);
        return ran.length;
      } catch (error) {
        this.#fail(live, error);
        return 0;
      }
    });
  }

  /** Says what runs now, where that is not what ran before. */
  #tellLanguages(): void {
    const { onRunning } = this.limits;
    if (onRunning === undefined) return;
    const now = new Set(this.#active.flatMap((a) => a.request.jobs[a.index]!.languages ?? []));
    if (now.size === this.#running.size && now.isSubsetOf(this.#running)) return;
    this.#running = now;
    onRunning([...now]);
  }

  /** Takes ended sentences out of the batch; returns how many. */
  #sweep(): number {
    const ended = this.#active.filter((a) => a.sequence.search.done);
    for (const a of ended) {
      const { request, index, sequence } = a;
      this.#drop(a);
      request.results[index] = [...sequence.search.finished];
      request.done++;
      request.onProgress?.(request.done, request.jobs.length);
      if (request.done === request.jobs.length) {
        request.closed = true;
        request.resolve(request.results);
      }
    }
    return ended.length;
  }

  /** Takes a sequence out of the batch; its slots and places are free from now on, its pages after its pass. */
  #drop(a: Active): void {
    this.#active.splice(this.#active.indexOf(a), 1);
    this.#decoder.drop(a);
    if (this.#prefixes.drop(a)) this.#closing.push(a.sequence);
    else a.sequence.close();
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

  /**
   * Answers a request with an error and frees what it holds. A decoder step under way may still write to its pages:
   * they can be given to others all the same, who write to them in a later step; an encoder pass no longer does.
   */
  #close(request: Request, error: MoqeError): void {
    if (request.closed) return;
    request.closed = true;
    this.#waiting.remove(request);
    this.#preemption.remove(request);
    for (const a of this.#active.filter((a) => a.request === request)) this.#drop(a);
    request.reject(error);
    this.#decoder.nudge();
  }
}
