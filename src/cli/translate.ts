/** moqe translate: standard input to standard output, line by line. */
import { fstatSync } from "node:fs";
import type { Values } from "../base/config.ts";
import { errorCode } from "../base/errors.ts";
import { startEngine } from "../engine/client.ts";
import type { Engine, ModelInfo, TranslateParams } from "../engine/protocol.ts";
import { resolvePair } from "../http/languages.ts";
import { EXIT, type Invocation } from "./command.ts";
import type { translateFlags } from "./flags.ts";
import { type Interrupt, listenForInterrupt } from "./interrupt.ts";
import { batchLines, type Line, readLines } from "./lines.ts";
import { engineOptions, loadedInfo } from "./model.ts";
import { usage } from "./parse.ts";
import { Progress } from "./progress.ts";

const BOUNDS = { maxLines: 64, maxChars: 16_384, maxLineBytes: 2 ** 20 };
/** Batches that wait for the engine at once: one runs, the next is ready when it ends. */
const BATCHES_IN_FLIGHT = 2;

const encoder = new TextEncoder();

/** Runs the command. */
export async function translate({ flags }: Invocation<typeof translateFlags>): Promise<number> {
  const { from, to } = flags;
  if (from === undefined || to === undefined) {
    throw usage({ name: "translate" }, "--from and --to are needed, as in --from en --to de");
  }
  using interrupt = listenForInterrupt();
  const progress = new Progress({ force: flags.progress });
  const engine = startEngine(engineOptions(flags));
  try {
    const info = await loadedInfo(engine, progress, interrupt.signal);
    const pair = resolvePair({ source: from, target: to }, info);
    await new Run(engine, { ...pair, ...search(flags, info) }, progress, interrupt).all();
    return EXIT.ok;
  } catch (thrown) {
    // Whoever reads our output has seen enough (moqe translate ... | head).
    if (thrown instanceof Deno.errors.BrokenPipe) return EXIT.failure;
    throw thrown;
  } finally {
    progress.clear();
    // What was interrupted is not waited for: the process ends with its Worker.
    if (!interrupt.signal.aborted) await engine.close();
  }
}

type Settings = Omit<TranslateParams, "texts">;

function search(
  flags: Values<typeof translateFlags>,
  info: ModelInfo,
): Omit<Settings, "source" | "target"> {
  return {
    beams: flags.beams,
    lengthPenalty: flags.lengthPenalty,
    maxTokens: Math.min(flags.maxTokens, info.limits.maxTargetTokens),
    alternatives: 0,
  };
}

/** One translation of all of standard input. */
class Run {
  readonly #totalBytes = inputBytes();
  readonly #startMs = performance.now();
  #lines = 0;
  #bytes = 0;
  #tokens = 0;

  constructor(
    readonly engine: Engine,
    readonly settings: Settings,
    readonly progress: Progress,
    readonly interrupt: Interrupt,
  ) {}

  /** Reads, translates and writes; at most BATCHES_IN_FLIGHT batches are in memory. */
  async all(): Promise<void> {
    const waiting: { batch: Line[]; done: Promise<string[]> }[] = [];
    const writeFirst = async () => {
      const { batch, done } = waiting.shift()!;
      await this.#write(batch, await done);
    };
    const lines = readLines(Deno.stdin.readable, BOUNDS.maxLineBytes);
    for await (const batch of batchLines(lines, BOUNDS)) {
      const done = this.#translate(batch.map((line) => line.text));
      // It may fail while an earlier batch is still awaited; it is looked at in its turn.
      done.catch(() => {});
      waiting.push({ batch, done });
      if (waiting.length === BATCHES_IN_FLIGHT) await writeFirst();
    }
    while (waiting.length > 0) await writeFirst();
  }

  /** Blank lines stay as they are; a batch that the queue has no room for is halved. */
  async #translate(texts: string[]): Promise<string[]> {
    const full = texts.flatMap((text, i) => text.trim() === "" ? [] : [i]);
    const results = [...texts];
    if (full.length === 0) return results;
    try {
      const translations = await this.engine.translate(
        { ...this.settings, texts: full.map((i) => texts[i]!) },
        { signal: this.interrupt.signal },
      );
      for (const [n, i] of full.entries()) {
        results[i] = translations[n]!.text;
        this.#tokens += translations[n]!.targetTokens;
      }
      return results;
    } catch (thrown) {
      if (errorCode(thrown) !== "overloaded" || texts.length === 1) throw thrown;
      const half = texts.length >> 1;
      const first = await this.#translate(texts.slice(0, half));
      return [...first, ...await this.#translate(texts.slice(half))];
    }
  }

  async #write(batch: Line[], texts: string[]): Promise<void> {
    // A translation must not add lines: who reads the output counts them.
    const out = batch.map((line, i) => texts[i]!.replace(/[\r\n]+/g, " ") + line.end).join("");
    const bytes = encoder.encode(out);
    for (let at = 0; at < bytes.length;) at += await Deno.stdout.write(bytes.subarray(at));
    this.#lines += batch.length;
    this.#bytes += batch.reduce((sum, line) => sum + line.bytes, 0);
    const speed = this.#tokens / ((performance.now() - this.#startMs) / 1000);
    const share = this.#totalBytes === undefined ? undefined : this.#bytes / this.#totalBytes;
    this.progress.show(`${this.#lines} lines, ${speed.toFixed(0)} tokens/s`, share);
  }
}

/** Size of standard input where it is a file. */
function inputBytes(): number | undefined {
  try {
    const stat = fstatSync(0);
    return stat.isFile() && stat.size > 0 ? stat.size : undefined;
  } catch {
    return undefined;
  }
}
