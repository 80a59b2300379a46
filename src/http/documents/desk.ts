/** Documents that wait, are being translated, or are ready to be fetched: bounded in bytes, forgotten after a while. */
import { errorText, MoqeError } from "../../base/errors.ts";
import type { TranslatedDocument } from "../../text/documents/contract.ts";
import { RequestError } from "../errors.ts";
import type { Gate } from "../gate.ts";

/** Bounds of all documents together. */
export interface DeskLimits {
  /** Bytes of all documents held, sources and translations; more are refused. */
  readonly maxBytes: number;
  /** Bytes of one document. */
  readonly maxDocumentBytes: number;
  /** Milliseconds after which a finished document is forgotten. */
  readonly keepMs: number;
  /** Documents that are translated at once; each asks the engine for one bounded batch at a time. */
  readonly maxRunning: number;
}

/** What a document's translation needs to know of its surroundings. */
export interface Work {
  readonly signal: AbortSignal;
  /** Sentences done, and all. */
  onProgress(done: number, total: number): void;
}

/** Translates a document's bytes. */
export type TranslateWork = (
  bytes: Uint8Array<ArrayBuffer>,
  work: Work,
) => Promise<TranslatedDocument>;

/** The API that a document came by: no other gives it out, as each has its own proof of whose it is. */
export type DeskApi = "libre" | "deepl";

/** A document at the desk. */
export interface DeskJob {
  readonly id: string;
  readonly api: DeskApi;
  /** Known to the client alone: with the id it opens the document. */
  readonly key: string;
  readonly owner: string;
  /** Name of the translation: report.de.md. */
  readonly name: string;
  status: "queued" | "translating" | "done" | "error";
  /** What went wrong, in words for the client. */
  error: string | undefined;
  /** What was thrown, for whoever answers or logs. */
  failure: unknown;
  characters: number;
  result: Uint8Array<ArrayBuffer> | undefined;
  /** Whether it was handed out: then it goes first when others need its room. */
  isFetched: boolean;
  /** Seconds until it is done, as far as can be told. */
  secondsLeft: number | undefined;
  /** Resolves when it is done or failed. */
  readonly finished: Promise<void>;
}

interface Held extends DeskJob {
  bytes: number;
  finishedAtMs: number;
  forgetAtMs: number;
  readonly stop: AbortController;
  run: (() => Promise<void>) | undefined;
  readonly settle: () => void;
}

/** A translation may be so much longer than its source, which is counted as long as both are held. */
const GROWTH = 2;
/** What a document takes beside its bytes; by it the number of small ones is bounded. */
const JOB_BYTES = 2048;
/** What is done and was not fetched for so long makes room for others; milliseconds. */
const ABANDONED_MS = 5 * 60_000;

/** Takes documents in and gives translations out. */
export class DocumentDesk {
  readonly #jobs = new Map<string, Held>();
  readonly #waiting: Held[] = [];
  #running = 0;
  #bytes = 0;

  /** `gate` is told of each document that runs, so that a service that ends finishes it. */
  constructor(
    readonly limits: DeskLimits,
    readonly gate: Gate,
    readonly nowMs: () => number = () => performance.now(),
  ) {}

  /** Bytes that are held. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Takes a document. Throws MoqeError `too_large`, `overloaded`. */
  submit(
    of: { api: DeskApi; owner: string; name: string; bytes: Uint8Array<ArrayBuffer> },
    translate: TranslateWork,
  ): DeskJob {
    this.#forget();
    const bytes = of.bytes.length * (1 + GROWTH);
    this.#admit(of.bytes.length, bytes);
    const { promise: finished, resolve } = Promise.withResolvers<void>();
    const job: Held = {
      id: crypto.randomUUID(),
      api: of.api,
      key: crypto.randomUUID().replaceAll("-", ""),
      owner: of.owner,
      name: of.name,
      status: "queued",
      error: undefined,
      failure: undefined,
      characters: 0,
      result: undefined,
      isFetched: false,
      secondsLeft: undefined,
      finished,
      bytes,
      finishedAtMs: Infinity,
      forgetAtMs: Infinity,
      stop: new AbortController(),
      run: undefined,
      settle: resolve,
    };
    job.run = () => this.#translate(job, of.bytes, translate).finally(resolve);
    this.#bytes += bytes;
    this.#jobs.set(job.id, job);
    this.#waiting.push(job);
    this.#next();
    return job;
  }

  /** A document by its id; undefined where there is none (any more). */
  find(id: string): DeskJob | undefined {
    this.#forget();
    return this.#jobs.get(id);
  }

  /** Stops a document's translation, if it runs, and forgets it. */
  remove(id: string): void {
    const job = this.#jobs.get(id);
    if (job === undefined) return;
    job.stop.abort();
    this.#jobs.delete(id);
    this.#hold(job, 0);
    const at = this.#waiting.indexOf(job);
    if (at < 0) return;
    this.#waiting.splice(at, 1);
    job.status = "error";
    job.error = "the document was withdrawn";
    job.failure = new MoqeError("cancelled", { action: "translate", rule: job.error });
    job.settle();
  }

  #admit(size: number, bytes: number): void {
    const { maxBytes, maxDocumentBytes } = this.limits;
    if (size > maxDocumentBytes || bytes > maxBytes) {
      throw new MoqeError("too_large", {
        action: "take the document",
        rule: `${
          Math.min(maxDocumentBytes, Math.floor(maxBytes / (1 + GROWTH)))
        } bytes are the most`,
        observed: `${size} bytes`,
      });
    }
    const removed: Held[] = [];
    let freed = 0;
    for (const job of this.#removable()) {
      if (this.#hasRoom(bytes, freed, removed.length)) break;
      // One that failed holds nothing but why.
      if (job.bytes === 0 && this.#jobs.size < this.#mostJobs()) continue;
      removed.push(job);
      freed += job.bytes;
    }
    if (this.#hasRoom(bytes, freed, removed.length)) {
      for (const job of removed) this.remove(job.id);
      return;
    }
    throw new MoqeError("overloaded", {
      action: "take the document",
      rule: `${this.#jobs.size} documents hold ${this.#bytes} bytes of ${maxBytes} already`,
      remedy: "try again later",
    }, { retryAfterSeconds: this.#secondsToRoom() });
  }

  #mostJobs(): number {
    return Math.max(8, Math.floor(this.limits.maxBytes / JOB_BYTES));
  }

  /** Whether another of so many bytes fits, without so many others. */
  #hasRoom(bytes: number, freed: number, fewer: number): boolean {
    return this.#bytes - freed + bytes <= this.limits.maxBytes &&
      this.#jobs.size - fewer < this.#mostJobs();
  }

  /** Finished documents that make room where there is too little: handed out ones, then those that nobody fetched. */
  #removable(): Held[] {
    const jobs = [...this.#jobs.values()];
    const abandoned = this.nowMs() - ABANDONED_MS;
    return [
      ...jobs.filter((job) => job.isFetched),
      ...jobs.filter((job) => !job.isFetched && job.finishedAtMs <= abandoned),
    ];
  }

  /** Until a finished document may make room; what is being translated may be done sooner than anybody knows. */
  #secondsToRoom(): number {
    const jobs = [...this.#jobs.values()];
    if (jobs.some((job) => job.finishedAtMs === Infinity)) return 10;
    const first = Math.min(...jobs.map((job) => job.finishedAtMs)) + ABANDONED_MS;
    return Math.max(1, Math.ceil((first - this.nowMs()) / 1000));
  }

  #next(): void {
    while (this.#running < this.limits.maxRunning) {
      const job = this.#waiting.shift();
      if (job === undefined) return;
      this.#running++;
      const leave = this.gate.hold();
      const run = job.run!;
      job.run = undefined; // It holds the source's bytes.
      run().finally(() => {
        leave();
        this.#running--;
        this.#next();
      });
    }
  }

  async #translate(
    job: Held,
    bytes: Uint8Array<ArrayBuffer>,
    translate: TranslateWork,
  ): Promise<void> {
    job.status = "translating";
    const start = this.nowMs();
    try {
      const translated = await translate(bytes, {
        signal: job.stop.signal,
        onProgress: (done, total) => {
          const seconds = (this.nowMs() - start) / 1000;
          job.secondsLeft = Math.ceil(seconds / Math.max(1, done) * (total - done));
        },
      });
      job.characters = translated.characters;
      job.result = translated.bytes;
      job.status = "done";
    } catch (thrown) {
      job.status = "error";
      job.failure = thrown;
      job.error = isForUsers(thrown) ? errorText(thrown) : "internal error";
    }
    job.finishedAtMs = this.nowMs();
    job.forgetAtMs = job.finishedAtMs + this.limits.keepMs;
    if (this.#jobs.has(job.id)) this.#hold(job, job.result?.length ?? 0);
  }

  #hold(job: Held, bytes: number): void {
    this.#bytes += bytes - job.bytes;
    job.bytes = bytes;
  }

  #forget(): void {
    const now = this.nowMs();
    for (const job of this.#jobs.values()) if (job.forgetAtMs <= now) this.remove(job.id);
  }
}

/** Whether an error's words are for users; another's may hold anything. */
export function isForUsers(thrown: unknown): boolean {
  return thrown instanceof MoqeError && thrown.code !== "internal" ||
    thrown instanceof RequestError;
}
