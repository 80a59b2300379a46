/** Texts to translations: sentences out, everything between them kept, hypotheses back to text. */
import { MoqeError } from "../base/errors.ts";
import type { ModelSpec } from "../nn/spec.ts";
import { languageOf } from "../text/languages.ts";
import { joinText, splitSteps, type SplitText } from "../text/sentences.ts";
import type { ChatTemplates } from "../text/chat_template.ts";
import type { TextTokenizer } from "../text/tokenizer.ts";
import type { Manifest } from "../store/manifest.ts";
import { Breaths } from "./breaths.ts";
import { MAX_BEAMS } from "./budget.ts";
import type { TranslateOptions, TranslateParams, Translation } from "./protocol.ts";
import type { Job, PartialTokens } from "./queue.ts";
import type { Scheduler } from "./scheduler.ts";
import type { Finished } from "./search.ts";
import { type SourceWriter, sourceWriter, type WrittenSource } from "./source.ts";
import { TextStreams } from "./stream.ts";

/** A translation runs away (an early model repeats itself) at this many tokens a source token, and some more. */
const RUNAWAY_FACTOR = 3;
const RUNAWAY_EXTRA = 24;
/** Longest a sentence of so many tokens can be in any script; what is longer is cut before it is tokenized. */
const MAX_CHARS_A_TOKEN = 16;

/** A sentence of a model that is prompted has room for so many tokens at least, or no translation is tried. */
const LEAST_SENTENCE = 8;

/** Longest sentence on either side, in tokens. */
export interface TranslatorLimits {
  maxSourceTokens: number;
  maxTargetTokens: number;
  /** Prompt and answer together, where a model is prompted. */
  maxContextTokens?: number | undefined;
}

/** Translates texts of the manifest's pairs. */
export class Translator {
  readonly #pairs: ReadonlySet<string>;

  constructor(
    private readonly tokenizer: TextTokenizer,
    private readonly scheduler: Scheduler,
    manifest: Pick<Manifest, "pairs">,
    private readonly spec: Pick<ModelSpec, "source" | "tokens">,
    private readonly templates: ChatTemplates,
    readonly limits: TranslatorLimits,
  ) {
    this.#pairs = new Set(manifest.pairs);
  }

  /** One translation a text. Throws MoqeError `bad_input`, `too_large`, `overloaded`, `cancelled`. */
  async translate(params: TranslateParams, options: TranslateOptions = {}): Promise<Translation[]> {
    this.#check(params);
    const languages = { source: params.source, target: params.target };
    const writer = sourceWriter(this.spec, this.tokenizer, this.templates, languages);
    const limit = {
      maxTokens: this.#sentenceTokens(writer),
      maxChars: MAX_CHARS_A_TOKEN * this.limits.maxSourceTokens,
      countTokens: (sentence: string) => this.tokenizer.encode(sentence).length,
    };
    const language = languageOf(params.source).code;
    const turns = new Breaths(options);
    const texts: SplitText[] = [], sources: WrittenSource[][] = [];
    let count = 0;
    for (const text of params.texts) {
      const split = await turns.through(splitSteps(text, { language, limit, mode: params.split }));
      count += split.sentences.length;
      this.scheduler.refuseTooMany(count);
      texts.push(split);
      sources.push(await turns.through(written(split.sentences, writer)));
    }
    const jobs = sources.flat().map(({ tokens, ...source }): Job => ({
      ...source,
      languages,
      beams: params.beams,
      lengthPenalty: params.lengthPenalty,
      maxTokens: this.#limit(tokens, params),
    }));
    const { signal, onProgress, onText } = options, timeoutMs = turns.leftMs();
    const streams = onText && new TextStreams(texts, this.tokenizer, onText, writer.answer);
    const onTokens = streams && ((partial: PartialTokens) => streams.take(partial));
    const found = await this.scheduler.run(jobs, { signal, timeoutMs, onProgress, onTokens });
    // Of texts without a sentence nothing was told yet.
    streams?.rest();
    let next = 0;
    return texts.map((split, i) => {
      const hypotheses = found.slice(next, next += split.sentences.length);
      const text = (h: readonly Finished[], sentence: number, rank: number) => {
        const decoded = this.tokenizer.decode(h[Math.min(rank, h.length - 1)]!.tokens);
        return writer.answer?.(split.sentences[sentence]!, decoded) ?? decoded;
      };
      const version = (rank: number) =>
        joinText(split, hypotheses.map((h, sentence) => text(h, sentence, rank)));
      return {
        text: version(0),
        alternatives: distinct(
          version(0),
          Array.from({ length: params.alternatives }, (_, r) => version(r + 1)),
        ),
        sourceTokens: sources[i]!.reduce((n, s) => n + s.tokens, 0),
        targetTokens: hypotheses.reduce((n, h) => n + h[0]!.tokens.length, 0),
      };
    });
  }

  /** Longest sentence. Throws MoqeError `too_large` where a prompt leaves no room for one and its translation. */
  #sentenceTokens({ extraTokens }: SourceWriter): number {
    const { maxSourceTokens, maxContextTokens } = this.limits;
    if (maxContextTokens === undefined) return maxSourceTokens - extraTokens;
    // A translation may have RUNAWAY_FACTOR tokens for each.
    const room = (maxContextTokens - extraTokens - RUNAWAY_EXTRA) / (1 + RUNAWAY_FACTOR);
    if (room >= LEAST_SENTENCE) return Math.min(maxSourceTokens, Math.floor(room));
    throw new MoqeError("too_large", {
      action: "translate by prompt",
      rule: `the instruction takes ${extraTokens} tokens of a context of ${maxContextTokens}`,
      remedy: "raise --max-context or --gpu-memory",
    });
  }

  /** Longest translation of a sentence: what was asked for, the model's limit, and no runaway. */
  #limit(sourceTokens: number, params: TranslateParams): number {
    const runaway = RUNAWAY_FACTOR * sourceTokens + RUNAWAY_EXTRA;
    // The start token takes a position too.
    return Math.min(params.maxTokens, this.limits.maxTargetTokens - 1, runaway);
  }

  #check(params: TranslateParams): void {
    const refuse = (rule: string, observed: unknown) => {
      throw new MoqeError("bad_input", { action: "translate", rule, observed: String(observed) });
    };
    const pair = `${params.source}-${params.target}`;
    if (!this.#pairs.has(pair)) {
      refuse(`the model was trained for ${[...this.#pairs].join(", ")}`, pair);
    }
    const whole = (name: string, value: number, least: number, most: number) => {
      if (!Number.isInteger(value) || value < least || value > most) {
        refuse(`${name} must be a whole number from ${least} to ${most}`, value);
      }
    };
    whole("beams", params.beams, 1, MAX_BEAMS);
    whole("maxTokens", params.maxTokens, 2, Number.MAX_SAFE_INTEGER);
    whole("alternatives", params.alternatives, 0, Math.max(0, params.beams - 1));
    if (!Number.isFinite(params.lengthPenalty)) {
      refuse("lengthPenalty must be a number", params.lengthPenalty);
    }
  }
}

function* written(
  sentences: readonly string[],
  writer: SourceWriter,
): Generator<void, WrittenSource[]> {
  const sources: WrittenSource[] = [];
  for (const sentence of sentences) {
    sources.push(writer.write(sentence));
    yield;
  }
  return sources;
}

/** Alternatives that differ from the best and from each other, in order. */
function distinct(best: string, others: string[]): string[] {
  return [...new Set(others)].filter((o) => o !== best);
}
