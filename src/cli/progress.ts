/** One line on stderr that says how far long work is and how long it will take. */
import { formatSeconds } from "../base/units.ts";

/** A terminal's line is redrawn this often; without a terminal, a line is written this often. */
const REDRAW_MS = 150;
const LINE_MS = 5000;

const encoder = new TextEncoder();

/** Shows progress on stderr where that is a terminal, or where it is asked for. */
export class Progress {
  readonly #terminal: boolean;
  readonly #shown: boolean;
  readonly #startMs = performance.now();
  #lastMs = -Infinity;
  #drawn = false;

  constructor(options: { force?: boolean } = {}) {
    this.#terminal = Deno.stderr.isTerminal();
    this.#shown = this.#terminal || options.force === true;
  }

  /**
   * `text` says what is done; `share` (0 to 1) is how much of all, undefined where that is not known.
   * The time left is the time so far at the same speed, unless `secondsLeft` says better.
   */
  show(text: string, share?: number, secondsLeft?: number): void {
    if (!this.#shown) return;
    const now = performance.now();
    if (now - this.#lastMs < (this.#terminal ? REDRAW_MS : LINE_MS)) return;
    this.#lastMs = now;
    this.#write(`${text}${this.#timing(share, secondsLeft)}`);
  }

  /** The last word: how it went and how long it took. */
  finish(text: string): void {
    if (!this.#shown) return;
    this.clear();
    const seconds = (performance.now() - this.#startMs) / 1000;
    Deno.stderr.writeSync(encoder.encode(`${text} in ${formatSeconds(seconds)}\n`));
  }

  /** Removes the line from a terminal, so that what comes next starts on a clean one. */
  clear(): void {
    if (this.#drawn) Deno.stderr.writeSync(encoder.encode("\r\x1b[K"));
    this.#drawn = false;
  }

  #timing(share: number | undefined, secondsLeft: number | undefined): string {
    const seconds = (performance.now() - this.#startMs) / 1000;
    if (share === undefined || share <= 0) return `, ${formatSeconds(seconds)}`;
    const left = secondsLeft ?? seconds * (1 - share) / share;
    return ` (${(100 * share).toFixed(0)} %), ${formatSeconds(left)} left`;
  }

  #write(line: string): void {
    const text = this.#terminal ? `\r\x1b[K${line}` : `${line}\n`;
    Deno.stderr.writeSync(encoder.encode(text));
    this.#drawn = this.#terminal;
  }
}
