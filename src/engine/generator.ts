/** Prompts and chats to sequences and back: what a model without an encoder writes after a prompt. */
import { MoqeError } from "../base/errors.ts";
import type { ModelSpec } from "../nn/spec.ts";
import type { ChatTemplates } from "../text/chat_template.ts";
import { StreamDecoder, type TextTokenizer } from "../text/tokenizer.ts";
import { MAX_BEAMS } from "./budget.ts";
import type { GenerateOptions, GenerateParams, Generation } from "./protocol.ts";
import type { Scheduler } from "./scheduler.ts";

/** What a generator works with. */
export interface GeneratorParts {
  readonly tokenizer: TextTokenizer;
  readonly templates: ChatTemplates;
  readonly scheduler: Scheduler;
  readonly spec: Pick<ModelSpec, "modelType" | "encoder" | "embedding">;
  /** Any of these ends an answer. */
  readonly eos: readonly number[];
  /** Longest sequence, prompt and answer together. */
  readonly contextTokens: number;
}

/** Continues prompts. */
export class Generator {
  constructor(private readonly parts: GeneratorParts) {}

  /**
   * Throws MoqeError `unsupported` (a model with an encoder, or without a chat template), `bad_input`, `too_large` (a
   * prompt that leaves no room for an answer), and what the scheduler throws.
   */
  async generate(params: GenerateParams, options: GenerateOptions = {}): Promise<Generation> {
    this.#check(params);
    const { scheduler, eos, contextTokens, spec } = this.parts;
    const prefix = this.#prefix(params), room = contextTokens - prefix.length;
    if (room < 1) throw tooLong(prefix.length, contextTokens, spec);
    const { signal, timeoutMs, onText } = options;
    const stream = onText && this.#stream(onText);
    let cachedTokens = 0;
    const [found] = await scheduler.run([{
      prefix,
      beams: params.beams,
      lengthPenalty: params.lengthPenalty,
      maxTokens: Math.min(params.maxTokens, room),
    }], {
      signal,
      timeoutMs,
      onStarted: (_, tokens) => cachedTokens = tokens,
      onTokens: stream && (({ tokens, done }) => stream(tokens, done)),
    });
    const { tokens } = found![0]!, stopped = eos.includes(tokens.at(-1)!);
    return {
      text: this.parts.tokenizer.decode(stopped ? tokens.slice(0, -1) : tokens),
      promptTokens: prefix.length,
      cachedTokens,
      tokens: tokens.length,
      finish: stopped ? "stop" : "length",
    };
  }

  /** Tells the certain part of an answer, each token once. */
  #stream(onText: (piece: string) => void) {
    const decoder = new StreamDecoder(this.parts.tokenizer), { eos } = this.parts;
    let taken = 0;
    return (tokens: readonly number[], done: boolean) => {
      let piece = "";
      for (; taken < tokens.length; taken++) {
        if (!eos.includes(tokens[taken]!)) piece += decoder.push(tokens[taken]!);
      }
      if (done) piece += decoder.end();
      if (piece !== "") onText(piece);
    };
  }

  #prefix({ prompt, messages }: GenerateParams): number[] {
    const { tokenizer, templates } = this.parts;
    const tokens = messages === undefined
      ? [...tokenizer.frame.before, ...tokenizer.encode(prompt!)]
      : templates.encode(tokenizer, messages, { addGenerationPrompt: true, date: new Date() });
    if (tokens.length > 0) return tokens;
    throw new MoqeError("bad_input", {
      action: "generate",
      rule: "a prompt has at least one token",
      observed: "an empty prompt",
    });
  }

  #check(params: GenerateParams): void {
    const { spec } = this.parts;
    if (spec.encoder !== undefined) {
      throw new MoqeError("unsupported", {
        action: `generate with a ${spec.modelType} model`,
        rule: "it has an encoder and translates; models without one generate",
        remedy: "use moqe translate, or a model such as qwen3_moe",
      });
    }
    const refuse = (rule: string, observed: unknown) => {
      throw new MoqeError("bad_input", { action: "generate", rule, observed: String(observed) });
    };
    if ((params.prompt === undefined) === (params.messages === undefined)) {
      refuse("it takes a prompt or messages, one of both", "both or neither");
    }
    const { beams, maxTokens } = params;
    if (!Number.isInteger(beams) || beams < 1 || beams > MAX_BEAMS) {
      refuse(`beams must be a whole number from 1 to ${MAX_BEAMS}`, beams);
    }
    if (!Number.isInteger(maxTokens) || maxTokens < 1) {
      refuse("maxTokens must be a whole number of at least 1", maxTokens);
    }
  }
}

function tooLong(
  tokens: number,
  contextTokens: number,
  { embedding }: Pick<ModelSpec, "embedding">,
): MoqeError {
  const isModels = contextTokens === embedding.maxPositions;
  return new MoqeError("too_large", {
    action: `continue a prompt of ${tokens} tokens`,
    rule: `prompt and answer have ${contextTokens} tokens together at most`,
    remedy: isModels
      ? "send less: the model was made for no more"
      : "send less, or raise --max-context or --gpu-memory",
  });
}
