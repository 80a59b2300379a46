/** What a command is: one declarative record from which help, environment variables and validation derive. */
import type { Flags, Values } from "../base/config.ts";

/** An argument without a flag. */
export interface Positional {
  readonly name: string;
  readonly help: string;
  readonly optional?: boolean;
  /** The last argument may be there several times. */
  readonly many?: boolean;
}

/** A command's words as they were read. */
export interface Invocation<F extends Flags> {
  readonly flags: Values<F>;
  readonly positionals: readonly string[];
}

/** Exit codes of the program; a command returns one of them. */
export const EXIT = { ok: 0, failure: 1, usage: 2, interrupted: 130 } as const;

/** A command as help shows it and as the program runs it. */
export interface Command {
  /** The words that a command's name follows; "moqe" unless given. */
  readonly program?: string;
  readonly name: string;
  readonly summary: string;
  /** Lines under the usage line: what it reads and writes, an example. */
  readonly details: readonly string[];
  readonly positionals: readonly Positional[];
  readonly flags: Flags;
  /** Runs with words that were read by `flags`; resolves to an exit code. */
  run(invocation: Invocation<Flags>): Promise<number>;
}

/** Ties a command's code to its flags: `load` imports the code only when it runs, so that help stays quick. */
export function defineCommand<F extends Flags>(
  spec: Omit<Command, "run" | "flags"> & {
    flags: F;
    load(): Promise<(invocation: Invocation<F>) => Promise<number>>;
  },
): Command {
  const { load, ...rest } = spec;
  return { ...rest, run: async (words) => await (await load())(words as Invocation<F>) };
}
