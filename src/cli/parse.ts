/** Command lines to values: node's parseArgs does the syntax, the flag tables do the rest. */
import { parseArgs } from "node:util";
import { flagName, type Flags, nearest, resolveFlags } from "../base/config.ts";
import { MoqeError } from "../base/errors.ts";
import type { Command, Invocation } from "./command.ts";

/** A command line's words, or that help was asked for. */
export type Parsed = { help: true } | { help: false; invocation: Invocation<Flags> };

/** Reads a command's words. Throws MoqeError `bad_input` that names what is wrong and what would be right. */
export function parseCommand(
  command: Command,
  words: readonly string[],
  environment: (name: string) => string | undefined,
): Parsed {
  const keys = new Map(Object.keys(command.flags).map((key) => [flagName(key), key]));
  const given: Record<string, string> = {};
  const positionals: string[] = [];
  const tokens = tokenize(command, words);
  for (const token of tokens) {
    if (token.kind === "positional") positionals.push(token.value);
    if (token.kind !== "option") continue;
    if (token.name === "help" || token.name === "h") return { help: true };
    const key = keys.get(token.name);
    if (key === undefined) throw unknownFlag(command, token.rawName, [...keys.keys()]);
    const raw = readValue(command, key, token.value);
    const before = command.flags[key]!.repeats ? given[key] : undefined;
    given[key] = before === undefined ? raw : `${before},${raw}`;
  }
  checkPositionals(command, positionals);
  const flags = resolveFlags(command.flags, given, environment);
  return { help: false, invocation: { flags, positionals } };
}

/** parseArgs in its lenient mode: it splits, this module judges. */
function tokenize(command: Command, words: readonly string[]) {
  const options: Record<string, { type: "string" | "boolean"; short?: string }> = {
    help: { type: "boolean", short: "h" },
  };
  for (const [key, flag] of Object.entries(command.flags)) {
    options[flagName(key)] = { type: flag.placeholder === undefined ? "boolean" : "string" };
  }
  return parseArgs({
    args: [...words],
    options,
    strict: false,
    allowPositionals: true,
    tokens: true,
  }).tokens;
}

/** The raw text of a flag's value; a switch that is named is "true". */
function readValue(command: Command, key: string, value: string | undefined): string {
  const flag = command.flags[key]!;
  if (flag.placeholder === undefined) return value ?? "true";
  if (value !== undefined) return value;
  throw usage(command, `--${flagName(key)} needs a value: --${flagName(key)} ${flag.placeholder}`);
}

function unknownFlag(command: Command, rawName: string, names: string[]): MoqeError {
  const bare = rawName.replace(/^-+/, "");
  const near = nearest(bare, names);
  const hint = near === undefined ? "" : `; did you mean --${near}?`;
  return usage(command, `there is no flag ${rawName}${hint}`);
}

function checkPositionals(command: Command, found: readonly string[]): void {
  const missing = command.positionals.slice(found.length).filter((p) => !p.optional);
  if (missing.length > 0) {
    throw usage(command, `${missing.map((p) => p.name).join(" and ")} missing`);
  }
  if (command.positionals.at(-1)?.many) return;
  const surplus = found[command.positionals.length];
  if (surplus !== undefined) throw usage(command, `"${surplus}" is one argument too many`);
}

/** A mistake on the command line, with where to read more. */
export function usage(command: Pick<Command, "name" | "program">, rule: string): MoqeError {
  const words = `${command.program ?? "moqe"} ${command.name}`;
  return new MoqeError("bad_input", {
    action: `run ${words}`,
    rule,
    remedy: `${words} --help shows its arguments`,
  });
}
