/** The account of every byte that matters, by line, against the two hard budgets. */
import { MoqeError } from "./errors.ts";
import { formatBytes } from "./units.ts";

/** Lines of the device budget (`--gpu-memory`; on the CPU backend: the WASM heap). */
export const GPU_LINES = ["trunk", "arena", "kv", "activations", "staging"] as const;

/**
 * Lines of the host budget (`--host-memory`).
 * `runtime` is measured at start: what the process holds before any model byte is read. `service` is what the HTTP
 * side may hold at most besides requests: documents, glossaries, the tables of language detection.
 */
export const HOST_LINES = [
  "runtime",
  "manifest",
  "tokenizer",
  "fetching",
  "verified",
  "upload",
  "ram_tier",
  "disk_index",
  "requests",
  "service",
] as const;

export type GpuLine = typeof GPU_LINES[number];
export type HostLine = typeof HOST_LINES[number];
export type Budget = "gpu" | "host";

/** Both accounts at one moment, in bytes. */
export interface LedgerSnapshot {
  gpu: {
    budgetBytes: number;
    usedBytes: number;
    peakBytes: number;
    lines: Record<GpuLine, number>;
  };
  host: {
    budgetBytes: number;
    usedBytes: number;
    peakBytes: number;
    lines: Record<HostLine, number>;
  };
}

/** A number of bytes held on one line; it must be released exactly once by its owner. */
export interface Reservation {
  readonly bytes: number;
  /** Gives the bytes back. A second call does nothing. */
  release(): void;
}

class Account<Line extends string> {
  used = 0;
  peak = 0;
  readonly lines: Record<Line, number>;

  constructor(readonly name: Budget, readonly budgetBytes: number, names: readonly Line[]) {
    this.lines = Object.fromEntries(names.map((n) => [n, 0])) as Record<Line, number>;
  }

  fits(bytes: number): boolean {
    return this.used + bytes <= this.budgetBytes;
  }

  reserve(line: Line, bytes: number, what: string): Reservation {
    if (!Number.isSafeInteger(bytes) || bytes < 0) {
      throw new RangeError(
        `cannot reserve ${bytes} bytes for ${what}: not a whole number of bytes`,
      );
    }
    if (!this.fits(bytes)) {
      throw new MoqeError("over_budget", {
        action: `reserve ${formatBytes(bytes)} for ${what}`,
        rule: `the ${this.name} budget of ${formatBytes(this.budgetBytes)} has only ` +
          `${formatBytes(this.budgetBytes - this.used)} left`,
        remedy: `raise --${this.name}-memory to at least ${formatBytes(this.used + bytes)}`,
      });
    }
    this.used += bytes;
    this.lines[line] += bytes;
    this.peak = Math.max(this.peak, this.used);
    let held = true;
    return {
      bytes,
      release: () => {
        if (!held) return;
        held = false;
        this.used -= bytes;
        this.lines[line] -= bytes;
      },
    };
  }
}

/** Both budgets. Whoever holds bytes asks first; what does not fit is refused with a remedy. */
export class Ledger {
  readonly #gpu: Account<GpuLine>;
  readonly #host: Account<HostLine>;
  /** Gives back about so many host bytes of what is only kept because there was room, now. */
  reclaim: ((bytes: number) => void) | undefined;

  constructor(budgets: { gpuBytes: number; hostBytes: number }) {
    this.#gpu = new Account("gpu", budgets.gpuBytes, GPU_LINES);
    this.#host = new Account("host", budgets.hostBytes, HOST_LINES);
  }

  /** Reserves device bytes, or throws MoqeError `over_budget` with the least budget that would do. */
  gpu(line: GpuLine, bytes: number, what: string): Reservation {
    return this.#gpu.reserve(line, bytes, what);
  }

  /** Reserves host bytes, taking back what is only kept while there is room, or throws MoqeError `over_budget`. */
  host(line: HostLine, bytes: number, what: string): Reservation {
    this.hasHostRoom(bytes);
    return this.#host.reserve(line, bytes, what);
  }

  /** Whether so many host bytes are free, after taking back what is only kept while there is room. */
  hasHostRoom(bytes: number): boolean {
    const lacking = bytes - this.left("host");
    if (lacking > 0) this.reclaim?.(lacking);
    return this.#host.fits(bytes);
  }

  /** Bytes left of a budget. */
  left(budget: Budget): number {
    const account = budget === "gpu" ? this.#gpu : this.#host;
    return account.budgetBytes - account.used;
  }

  snapshot(): LedgerSnapshot {
    const view = <L extends string>(a: Account<L>) => ({
      budgetBytes: a.budgetBytes,
      usedBytes: a.used,
      peakBytes: a.peak,
      lines: { ...a.lines },
    });
    return { gpu: view(this.#gpu), host: view(this.#host) };
  }
}
