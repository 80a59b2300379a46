/** The program: finds the command, runs it, turns what happens into an exit code. */
import { nearest } from "../base/config.ts";
import { type ErrorCode, errorCode, errorText } from "../base/errors.ts";
import { redact } from "../base/log.ts";
import { checkRuntime, VERSION } from "../base/runtime.ts";
import { type Command, EXIT } from "./command.ts";
import { commandHelp, programHelp } from "./help.ts";
import { parseCommand } from "./parse.ts";

/** What the program reads and writes besides what commands do themselves. */
export interface Surroundings {
  environment(name: string): string | undefined;
  out(line: string): void;
  err(line: string): void;
}

/** The process's own. */
export const PROCESS: Surroundings = {
  environment: (name) => {
    // Where the environment may not be read there is none; reading it all the same would ask or throw.
    const { state } = Deno.permissions.querySync({ name: "env", variable: name });
    return state === "granted" ? Deno.env.get(name) : undefined;
  },
  out: (line) => console.log(line),
  err: (line) => console.error(line),
};

/** Runs a command line and resolves to the exit code. Never throws for what a user can do wrong. */
export async function runProgram(
  words: readonly string[],
  commands: readonly Command[],
  io: Surroundings = PROCESS,
): Promise<number> {
  const [name, ...rest] = words;
  if (name === "--version" || name === "-V") {
    io.out(`moqe ${VERSION}`);
    return EXIT.ok;
  }
  if (name === "--help" || name === "-h" || name === "help") {
    io.out(programHelp(commands));
    return EXIT.ok;
  }
  if (name === undefined) {
    io.err(programHelp(commands));
    return EXIT.usage;
  }
  const command = commands.find((c) => c.name === name);
  if (command === undefined) {
    const near = nearest(name, commands.map((c) => c.name));
    const hint = near === undefined ? "" : `; did you mean ${near}?`;
    io.err(`moqe: there is no command "${name}"${hint} (moqe --help lists them)`);
    return EXIT.usage;
  }
  return await runCommand(command, rest, io);
}

async function runCommand(
  command: Command,
  words: readonly string[],
  io: Surroundings,
): Promise<number> {
  try {
    const parsed = parseCommand(command, words, io.environment);
    if (parsed.help) {
      io.out(commandHelp(command));
      return EXIT.ok;
    }
    const { warning } = checkRuntime();
    if (warning !== undefined) io.err(`moqe: ${warning}`);
    return await command.run(parsed.invocation);
  } catch (thrown) {
    const code = errorCode(thrown);
    if (code === "cancelled") {
      io.err("moqe: interrupted");
      return EXIT.interrupted;
    }
    io.err(`moqe: ${redact(errorText(thrown))}`);
    if (code === "internal" && thrown instanceof Error && !isOfSystem(thrown)) {
      io.err(redact(thrown.stack ?? ""));
    }
    return exitCode(code);
  }
}

/** The exit code of a failure. */
function exitCode(code: ErrorCode): number {
  return code === "bad_input" ? EXIT.usage : EXIT.failure;
}

/** What the operating system or Deno's permissions refuse: its message names the file, a stack would not help. */
function isOfSystem(thrown: Error & { code?: unknown }): boolean {
  return thrown instanceof Deno.errors.NotCapable || /^E[A-Z0-9]+$/.test(String(thrown.code));
}
