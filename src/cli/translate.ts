/** moqe translate: files by their formats, or standard input to standard output, line by line. */
import { fstatSync } from "node:fs";
import { startEngine } from "../engine/client.ts";
import type { Engine } from "../engine/protocol.ts";
import type { TextOptions, TranslateTexts } from "../text/documents/contract.ts";
import { translateStrings } from "../text/strings.ts";
import { EXIT, type Invocation } from "./command.ts";
import type { translateFlags } from "./flags.ts";
import { type Interrupt, listenForInterrupt, orAborted } from "./interrupt.ts";
import { batchLines, type Line, readLines } from "./lines.ts";
import { engineOptions, loadedInfo, modelOfPair } from "./model.ts";
import { planFiles } from "./output_paths.ts";
import { usage } from "./parse.ts";
import { Progress } from "./progress.ts";
import { searchSettings, type Settings, trainedPair, translateTexts } from "./texts.ts";
import { readGlossaryFile } from "./read_input.ts";
import { FileRun } from "./translate_files.ts";

const BOUNDS = { maxLines: 64, maxChars: 16_384, maxLineBytes: 2 ** 20, patienceMs: 50 };
/** Batches that wait for the engine at once: one runs, the next is ready when it ends. */
const BATCHES_IN_FLIGHT = 2;

const encoder = new TextEncoder();

/** Runs the command. */
export async function translate(
  { flags, positionals }: Invocation<typeof translateFlags>,
): Promise<number> {
  const { from, to } = flags;
  if (from === undefined || to === undefined) {
    throw usage({ name: "translate" }, "--from and --to are needed, as in --from en --to de");
  }
  // A format without a file is that of standard input.
  const files = positionals.length === 0 && flags.format !== undefined ? ["-"] : positionals;
  const tasks = await planFiles(files, to, flags);
  using interrupt = listenForInterrupt();
  const progress = new Progress({ force: flags.progress });
  const model = await modelOfPair(flags.model, from, to);
  const engine = startEngine(engineOptions({ ...flags, model }));
  try {
    const info = await loadedInfo(engine, progress, interrupt.signal);
    if (tasks.length > 0) {
      return await new FileRun(engine, info, flags, progress, interrupt.signal).all(tasks);
    }
    const pair = trainedPair(from, to, info);
    const settings: Settings = { ...pair, ...searchSettings(flags, info), split: "off" };
    const glossary = await readGlossaryFile(flags.glossary);
    const kept = { splitSentences: flags.split, glossary };
    await new Run(engine, settings, kept, progress, interrupt).all();
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
    readonly kept: Pick<TextOptions, "splitSentences" | "glossary">,
    readonly progress: Progress,
    readonly interrupt: Interrupt,
  ) {}

  /**
   * Reads, translates and writes; at most BATCHES_IN_FLIGHT batches are in memory. What is translated is written
   * also while the next line is waited for, so that a person at a terminal gets answers.
   */
  async all(): Promise<void> {
    const failed = Promise.withResolvers<never>();
    failed.promise.catch(() => {});
    const written: Promise<void>[] = [];
    let last = Promise.resolve();
    const lines = readLines(Deno.stdin.readable, BOUNDS.maxLineBytes);
    const batches = batchLines(lines, BOUNDS);
    for (;;) {
      const next = Promise.race([batches.next(), failed.promise]);
      const { value: batch, done } = await orAborted(next, this.interrupt.signal);
      if (done) {
        await last;
        return this.progress.finish(this.#soFar());
      }
      last = this.#inTurn(last, batch);
      last.catch(failed.reject);
      written.push(last);
      if (written.length === BATCHES_IN_FLIGHT) await written.shift();
    }
  }

  /** Translates at once, writes after the batch before. */
  async #inTurn(before: Promise<void>, batch: Line[]): Promise<void> {
    const texts = this.#translate(batch.map((line) => line.text));
    texts.catch(() => {}); // It may fail while the batch before is awaited; it is looked at in its turn.
    await before;
    await this.#write(batch, await texts);
  }

  /** Each line as a text of its own: what stands in it that is no language is kept, as in files. */
  async #translate(texts: string[]): Promise<string[]> {
    const { source, target } = this.settings, { signal } = this.interrupt;
    const ask: TranslateTexts = async (sentences) => {
      const found = await translateTexts(this.engine, this.settings, sentences, signal);
      this.#tokens += found.targetTokens;
      return found.texts;
    };
    return await translateStrings(texts, ask, { source, target, ...this.kept, signal });
  }

  async #write(batch: Line[], texts: string[]): Promise<void> {
    // A translation must not add lines: who reads the output counts them.
    const out = batch.map((line, i) => texts[i]!.replace(/[\r\n]+/g, " ") + line.end).join("");
    const bytes = encoder.encode(out);
    for (let at = 0; at < bytes.length;) at += await Deno.stdout.write(bytes.subarray(at));
    this.#lines += batch.length;
    this.#bytes += batch.reduce((sum, line) => sum + line.bytes, 0);
    const share = this.#totalBytes === undefined ? undefined : this.#bytes / this.#totalBytes;
    this.progress.show(this.#soFar(), share);
  }

  #soFar(): string {
    const speed = this.#tokens / ((performance.now() - this.#startMs) / 1000);
    return `${this.#lines} lines, ${speed.toFixed(0)} tokens/s`;
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
