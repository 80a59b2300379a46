/** A chat as the text or tokens that its model was trained on: the checkpoint's own Jinja template, rendered. */
import { Environment, parse, tokenize } from "@huggingface/jinja";
import { errorText, MoqeError } from "../base/errors.ts";
import { Refusal, templateGlobals } from "./template_globals.ts";
import { BoundedRuntime } from "./template_runtime.ts";
import { TemplateBound, VALUE_CHARS } from "./template_values.ts";
import type { TextTokenizer } from "./tokenizer.ts";

/** What can stand in a message, a tool or a variable. */
export type Json = null | boolean | number | string | Json[] | { [key: string]: Json | undefined };

/** One turn. Most templates know the roles system, user, assistant and tool. */
export interface ChatMessage {
  role: string;
  content?: Json;
  [field: string]: Json | undefined;
}

/** A template under its name, "default" where the checkpoint has one only. */
export interface NamedTemplate {
  name: string;
  template: string;
}

export interface ChatOptions {
  /** Functions that the model may call, as JSON schemas. */
  tools?: readonly Json[] | undefined;
  /** Whether the text ends where the assistant's answer begins. False by default. */
  addGenerationPrompt?: boolean;
  /** More variables of the template's own, such as `enable_thinking`. */
  variables?: Readonly<Record<string, Json>>;
  /** What `strftime_now` tells, in UTC. Without it a template finds no such function. */
  date?: Date;
}

/** UTF-16 units of messages, tools and variables, VALUE_CHARS a value counted in. */
const MAX_INPUT_CHARS = 4 * 2 ** 20;
/** Of each limit: a part for the template, and a part for each unit of the input. */
const CHARS = 2 ** 18, CHARS_A_UNIT = 4;
const MADE = 2 ** 24, MADE_A_UNIT = 16;
const WORK = 2 ** 22, WORK_A_UNIT = 8;
/** Bytes that a parsed template takes for each of its characters: 9 measured with Qwen3's. */
const PARSED_FACTOR = 12;

const ACTION = "make the prompt from the model's chat template";

/** The chat templates of a model. Parsed when first used; no state is kept between renderings. */
export class ChatTemplates {
  /** An estimate of what the parsed templates hold in host memory. */
  readonly hostBytes: number;
  readonly #programs = new Map<string, ReturnType<typeof parse>>();

  /**
   * @param templates of the manifest; none for a model without
   * @param tokens texts that templates get as `bos_token`, `eos_token` and so on: TextTokenizer's `named`
   */
  constructor(
    private readonly templates: readonly NamedTemplate[],
    private readonly tokens: Readonly<Record<string, string>>,
  ) {
    this.hostBytes = templates.reduce((sum, t) => sum + t.template.length, 0) * PARSED_FACTOR;
  }

  /** Whether the model has a template for plain chats. */
  get hasAny(): boolean {
    return this.templates.some((t) => t.name === "default");
  }

  /**
   * The text of a chat, as transformers' apply_chat_template has it.
   *
   * @throws MoqeError `unsupported` where there is no template, it cannot be read, or it asks for more than a bound
   *   allows; `bad_input` with the template's own words where it refuses the messages; `too_large` for messages beyond
   *   MAX_INPUT_CHARS
   */
  render(messages: readonly ChatMessage[], options: ChatOptions = {}): string {
    const { tools, addGenerationPrompt = false, variables = {}, date } = options;
    const program = this.#program(tools !== undefined && tools.length > 0);
    const own: Record<string, Json> = {
      ...this.tokens,
      messages: messages as readonly Json[] as Json[],
      tools: tools as Json[] | undefined ?? null,
      documents: null,
      add_generation_prompt: addGenerationPrompt,
    };
    const units = unitsOf([own, variables as Json]);
    const scope = new Environment(templateGlobals(date));
    for (const [name, value] of Object.entries({ ...own, ...variables })) {
      if (scope.variables.has(name)) throw reserved(name);
      scope.set(name, value);
    }
    return run(program, scope, units);
  }

  /** The tokens of a chat. Control tokens that are written in messages, tools or variables are text in it. */
  encode(
    tokenizer: TextTokenizer,
    messages: readonly ChatMessage[],
    options: ChatOptions = {},
  ): number[] {
    const content = (value: Json | undefined): Json =>
      changeTexts(value, (t) => tokenizer.asContent(t));
    const text = this.render(messages.map(content) as unknown as ChatMessage[], {
      ...options,
      tools: options.tools?.map(content),
      variables: content((options.variables ?? {}) as Json) as Record<string, Json>,
    });
    return tokenizer.encode(text, { special: true });
  }

  /** The parsed template: the one for tools where there are tools and it exists, else the default. */
  #program(hasTools: boolean): ReturnType<typeof parse> {
    const find = (name: string) => this.templates.find((t) => t.name === name);
    const found = (hasTools ? find("tool_use") : undefined) ?? find("default");
    if (found === undefined) throw noTemplate(this.templates.map((t) => t.name));
    const known = this.#programs.get(found.name);
    if (known !== undefined) return known;
    const program = parsed(found.template);
    this.#programs.set(found.name, program);
    return program;
  }
}

/** Reads a template. Throws MoqeError `unsupported`. */
function parsed(template: string): ReturnType<typeof parse> {
  try {
    return parse(tokenize(template, { lstrip_blocks: true, trim_blocks: true }));
  } catch (cause) {
    throw faulty(`the template cannot be read: ${errorText(cause)}`, cause);
  }
}

function run(program: unknown, scope: Environment, units: number): string {
  const limits = {
    chars: CHARS + CHARS_A_UNIT * units,
    made: MADE + MADE_A_UNIT * units,
    work: WORK + WORK_A_UNIT * units,
  };
  try {
    return new BoundedRuntime(scope, limits).run(program).value as string;
  } catch (cause) {
    if (cause instanceof Refusal) {
      throw new MoqeError("bad_input", {
        action: ACTION,
        rule: `the template refuses the messages: ${cause.message.slice(0, 500)}`,
        remedy: "send messages of the roles, and in the order, that the model knows",
        cause,
      });
    }
    if (cause instanceof TemplateBound) throw faulty(cause.message, cause);
    throw faulty(`the template fails: ${errorText(cause)}`, cause);
  }
}

function faulty(rule: string, cause: unknown): MoqeError {
  return new MoqeError("unsupported", {
    action: ACTION,
    rule: rule.slice(0, 500),
    remedy: "give the prompt as text, or pack the model with a chat template of plain Jinja",
    cause,
  });
}

function noTemplate(names: string[]): MoqeError {
  return new MoqeError("unsupported", {
    action: ACTION,
    rule: "the model must have a default one",
    observed: names.length === 0 ? "none" : names.join(", "),
    remedy: "give the prompt as text, or pack the checkpoint with its chat_template.jinja",
  });
}

function reserved(name: string): MoqeError {
  return new MoqeError("bad_input", {
    action: ACTION,
    rule: "a variable must not have the name of a function of Jinja",
    observed: name,
  });
}

/** Units of what a template is given. Throws MoqeError `too_large`. */
function unitsOf(value: Json | undefined): number {
  let units = 0;
  const waiting: (Json | undefined)[] = [value];
  while (waiting.length > 0) {
    const next = waiting.pop();
    units += VALUE_CHARS + (typeof next === "string" ? next.length : 0);
    if (units > MAX_INPUT_CHARS) {
      throw new MoqeError("too_large", {
        action: ACTION,
        rule: `messages and tools may have ${MAX_INPUT_CHARS} characters at most`,
        remedy: "send less at once",
      });
    }
    if (typeof next !== "object" || next === null) continue;
    for (const [key, child] of Object.entries(next)) {
      units += Array.isArray(next) ? 0 : key.length;
      waiting.push(child);
    }
  }
  return units;
}

/** A value with every text in it changed, names of fields too. */
function changeTexts(value: Json | undefined, change: (text: string) => string): Json {
  if (typeof value === "string") return change(value);
  if (Array.isArray(value)) return value.map((child) => changeTexts(child, change));
  if (typeof value !== "object" || value === null) return value ?? null;
  const entries = Object.entries(value).filter(([, child]) => child !== undefined);
  return Object.fromEntries(
    entries.map(([key, child]) => [change(key), changeTexts(child, change)]),
  );
}
