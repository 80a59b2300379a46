/** Files through the text layer: progress, resume by journal, outputs written whole or not at all. */
import type { Values } from "../base/config.ts";
import { errorCode, errorText, MoqeError } from "../base/errors.ts";
import type { Engine, ModelInfo } from "../engine/protocol.ts";
import { detectLanguage, mayBeOneOf } from "../text/detect.ts";
import type {
  DocumentFormat,
  DocumentOptions,
  Glossary,
  TranslateTexts,
} from "../text/documents/contract.ts";
import { sampleOf } from "../text/documents/sample.ts";
import { longestDocument, translateDocument } from "../text/documents/translate.ts";
import { codeOf, findLanguage } from "../text/languages.ts";
import { EXIT } from "./command.ts";
import { FileJournal, hashOf, JOURNAL_SUFFIX } from "./file_journal.ts";
import { isFinished, mark, unmark } from "./file_marks.ts";
import type { translateFlags } from "./flags.ts";
import { exists, type FileTask, STANDARD, thereAlready } from "./output_paths.ts";
import type { Progress } from "./progress.ts";
import { readGlossaryFile, readInput } from "./read_input.ts";
import { searchSettings, type Settings, trainedPair, translateTexts } from "./texts.ts";

/** The share of --host-memory that a document and what becomes of it may take. */
const DOCUMENT_SHARE = 0.5;
/** Of texts that take longer each is asked for by itself: batches are smaller, but little is lost to an interrupt. */
const QUICK_MS = 10_000;

/** One run over files. */
export class FileRun {
  readonly #startMs = performance.now();
  #tokens = 0;
  #resumed = 0;
  /** Then what is finished is marked, so that the same command passes it over. */
  #areMany = false;
  /** Whether the last texts took less than QUICK_MS; not known at first. */
  #isQuick = false;

  constructor(
    private readonly engine: Engine,
    private readonly info: ModelInfo,
    private readonly flags: Values<typeof translateFlags>,
    private readonly progress: Progress,
    private readonly signal: AbortSignal,
  ) {}

  /**
   * Translates file after file; resolves to the exit code. One that cannot be read or is ill formed is reported and
   * passed over; what fails beyond a file ends the run.
   */
  async all(tasks: readonly FileTask[]): Promise<number> {
    const glossary = await readGlossaryFile(this.flags.glossary);
    this.#areMany = tasks.length > 1;
    let failures = 0;
    for (const [i, task] of tasks.entries()) {
      try {
        await this.#one(task, glossary, tasks.length === 1 ? "" : `${i + 1} of ${tasks.length}, `);
      } catch (thrown) {
        if (!isOfFile(thrown) || tasks.length === 1) throw thrown;
        this.progress.clear();
        console.error(`moqe: ${task.input}: ${errorText(thrown)}`);
        failures++;
      }
    }
    for (const { output } of tasks) if (output !== STANDARD) await unmark(output);
    const done = tasks.length - failures;
    this.progress.finish(`${done} file${done === 1 ? "" : "s"}, ${this.#speed()}`);
    return failures === 0 ? EXIT.ok : EXIT.failure;
  }

  async #one(task: FileTask, glossary: Glossary | undefined, which: string): Promise<void> {
    const bytes = await readInput(task.input);
    const settings = await this.#settings(bytes, task.format);
    const options: DocumentOptions = {
      source: settings.source,
      target: settings.target,
      splitSentences: this.flags.split,
      glossary,
      signal: this.signal,
      jsonKeys: this.flags.jsonKeys,
      jsonKeptKeys: this.flags.jsonKeep,
      poFuzzy: this.flags.fuzzy,
      maxBytes: longestDocument(task.format, DOCUMENT_SHARE * this.flags.hostMemory),
      onProgress: (done, total) => {
        const name = task.input === STANDARD ? "standard input" : task.input;
        this.progress.show(
          `${which}${name}: ${done} of ${total} texts, ${this.#speed()}`,
          done / total,
        );
      },
    };
    if (task.output === STANDARD) {
      const { bytes: out } = await translateDocument(
        bytes,
        task.format,
        this.#translator(settings),
        options,
      );
      for (let at = 0; at < out.length;) at += await Deno.stdout.write(out.subarray(at));
    } else await this.#toFile(task, bytes, settings, options);
  }

  /** With a journal beside the output, which goes when the output is there. */
  async #toFile(
    task: FileTask,
    bytes: Uint8Array,
    settings: Settings,
    options: DocumentOptions,
  ): Promise<void> {
    const { output } = task;
    const fingerprint = this.#fingerprint(settings);
    const made = hashOf(
      JSON.stringify([fingerprint, hashOf(bytes), task.format, { ...options, signal: null }]),
    );
    if (this.#areMany) {
      if (await isFinished(output, made)) return;
      if (!this.flags.overwrite && await exists(output)) throw thereAlready(output);
    }
    const folder = output.slice(0, output.lastIndexOf("/") + 1);
    if (folder !== "") await Deno.mkdir(folder, { recursive: true });
    const journal = await FileJournal.open(`${output}${JOURNAL_SUFFIX}`, fingerprint);
    let remove = false;
    try {
      const translator = this.#translator(settings, journal);
      const { bytes: out } = await translateDocument(bytes, task.format, translator, options);
      if (this.#areMany) await mark(output, made, out);
      await writeWhole(output, out, this.flags.overwrite);
      remove = true;
    } catch (thrown) {
      remove = isOfFile(thrown);
      if (!remove) {
        this.progress.clear();
        console.error(
          `moqe: what was finished is kept in ${journal.path}; the same command goes on from there`,
        );
      }
      throw thrown;
    } finally {
      await journal.close({ remove });
    }
  }

  /** A hash of all that decides a sentence's translation. */
  #fingerprint(settings: Settings): string {
    const { name, provenance } = this.info;
    const { manifestSha256, maxSourceTokens, kvCache } = this.flags;
    const engine = { manifestSha256, maxSourceTokens, kvCache };
    return hashOf(JSON.stringify([settings, name, provenance, engine]));
  }

  #translator(settings: Settings, journal?: FileJournal): TranslateTexts {
    return async (texts) => {
      const known = texts.map((text) => journal?.take(text));
      this.#resumed += known.filter((t) => t !== undefined).length;
      const open = texts.filter((_, i) => known[i] === undefined);
      const start = performance.now();
      const ask = this.#isQuick || journal === undefined ? this.#together : this.#each;
      const found = await ask.call(this, open, settings, journal);
      this.#isQuick = performance.now() - start < QUICK_MS;
      let next = 0;
      return known.map((translation) => translation ?? found[next++]!);
    };
  }

  async #together(
    texts: readonly string[],
    settings: Settings,
    journal: FileJournal | undefined,
  ): Promise<string[]> {
    const found = await translateTexts(this.engine, settings, texts, this.signal);
    this.#tokens += found.targetTokens;
    await journal?.add(texts, found.texts);
    return found.texts;
  }

  /**
   * Texts at once, each asked for by itself: what is finished is in the journal however long the others take. What the
   * queue has no room for comes behind them.
   */
  async #each(
    texts: readonly string[],
    settings: Settings,
    journal: FileJournal | undefined,
  ): Promise<string[]> {
    const one = async (text: string) => {
      const { texts: [found], targetTokens } = await translateTexts(
        this.engine,
        settings,
        [text],
        this.signal,
      );
      this.#tokens += targetTokens;
      await journal?.add([text], [found!]);
      return found!;
    };
    const answers = await Promise.allSettled(texts.map(one));
    const found: string[] = [];
    for (const [i, answer] of answers.entries()) {
      if (answer.status === "fulfilled") found.push(answer.value);
      else if (errorCode(answer.reason) === "overloaded") found.push(await one(texts[i]!));
      else throw answer.reason;
    }
    return found;
  }

  async #settings(bytes: Uint8Array, format: DocumentFormat): Promise<Settings> {
    const { from, to } = this.flags;
    const source = from === "auto"
      ? await detected(sampleOf(bytes, format), to!, this.info)
      : from!;
    const pair = trainedPair(source, to!, this.info);
    // The text layer has split the sentences.
    return { ...pair, ...searchSettings(this.flags, this.info), split: "off" };
  }

  #speed(): string {
    const seconds = (performance.now() - this.#startMs) / 1000;
    const speed = `${(this.#tokens / seconds).toFixed(0)} tokens/s`;
    return this.#resumed === 0 ? speed : `${speed}, ${this.#resumed} sentences from before`;
  }
}

/** Whether a failure is of one file and not of the run. */
function isOfFile(thrown: unknown): boolean {
  return errorCode(thrown) === "bad_input" || errorCode(thrown) === "too_large";
}

/** The source language that words of a file are in. Throws MoqeError `bad_input` where the model reads no such. */
async function detected(text: string, to: string, info: ModelInfo): Promise<string> {
  const target = findLanguage(to)?.flores;
  const readable = info.pairs.filter((p) => p.target === target).map((p) => p.source);
  const [guess] = await detectLanguage(text);
  if (guess !== undefined && readable.includes(guess.flores)) return guess.flores;
  if (guess !== undefined && mayBeOneOf(readable, text, guess)) {
    const [best] = await detectLanguage(text, readable);
    if (best !== undefined) return best.flores;
  }
  const said = guess === undefined ? "no language that can be told" : codeOf(guess.flores);
  throw new MoqeError("bad_input", {
    action: `translate from auto to ${to}`,
    rule: `the text must be in one of ${readable.map(codeOf).join(", ") || "no language"}`,
    observed: said,
    remedy: "name its language with --from if it is another",
  });
}

/** Writes a file beside its place, then moves it there: it is whole or it is not there. */
async function writeWhole(path: string, bytes: Uint8Array, overwrite: boolean): Promise<void> {
  const temporary = `${path}.moqe-tmp`;
  await Deno.writeFile(temporary, bytes);
  if (overwrite) return await Deno.rename(temporary, path);
  try {
    // Unlike a rename, a link does not replace a file that came in the meantime.
    await Deno.link(temporary, path);
  } catch (thrown) {
    if (!(thrown instanceof Deno.errors.AlreadyExists)) return await Deno.rename(temporary, path);
    throw new MoqeError("unavailable", {
      action: `write ${path}`,
      rule: "a file of this name came in the meantime",
      remedy: `remove it and give the command again, or take ${temporary}`,
    });
  }
  await Deno.remove(temporary);
}
