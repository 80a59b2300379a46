/** `--help`, derived from the command table. */
import { environmentName, type Flag, flagName } from "../base/config.ts";
import { VERSION } from "../base/runtime.ts";
import type { Command } from "./command.ts";

/** Help of the whole program. */
export function programHelp(commands: readonly Command[]): string {
  const width = Math.max(...commands.map((c) => c.name.length));
  return [
    `moqe ${VERSION}: translates with mixture-of-experts models under a hard memory budget`,
    "",
    "usage: moqe COMMAND [FLAGS]",
    "",
    ...commands.map((c) => `  ${c.name.padEnd(width)}  ${c.summary}`),
    "",
    "moqe COMMAND --help shows a command's flags; each has an environment variable too.",
    "A flag wins over its variable, a variable over the default.",
    "Exit codes: 0 done, 1 failed, 2 used wrongly, 130 interrupted.",
  ].join("\n");
}

/** Help of one command: usage, arguments, flags with defaults and environment variables. */
export function commandHelp(command: Command): string {
  const words = command.positionals.map((p) => {
    const name = p.many ? `${p.name}...` : p.name;
    return p.optional ? `[${name}]` : name;
  });
  const entries = Object.entries(command.flags).map(([key, flag]) => ({
    left: flag.placeholder === undefined
      ? `--${flagName(key)}`
      : `--${flagName(key)} ${flag.placeholder}`,
    lines: [`${flag.help}${defaultOf(flag)}`, environmentName(key)],
  }));
  const left = Math.min(34, Math.max(0, ...entries.map((e) => e.left.length)));
  const lines = [
    [`usage: ${command.program ?? "moqe"}`, command.name, ...words, "[FLAGS]"].join(" "),
    "",
    `${command.summary[0]!.toUpperCase()}${command.summary.slice(1)}.`,
    ...command.details,
  ];
  if (command.positionals.length > 0) {
    lines.push("", "arguments:");
    const width = Math.max(...command.positionals.map((p) => p.name.length));
    for (const p of command.positionals) lines.push(`  ${p.name.padEnd(width)}  ${p.help}`);
  }
  if (entries.length > 0) {
    lines.push("", "flags, each with its environment variable:");
    for (const entry of entries) lines.push(...flagLines(entry, left));
  }
  return lines.join("\n");
}

function flagLines(entry: { left: string; lines: string[] }, width: number): string[] {
  const indent = " ".repeat(width + 4);
  const right = entry.lines.map((line) => `${indent}${line}`);
  if (entry.left.length > width) return [`  ${entry.left}`, ...right];
  return [`  ${entry.left.padEnd(width)}  ${entry.lines[0]}`, ...right.slice(1)];
}

function defaultOf(flag: Flag<unknown>): string {
  return flag.shown === "" ? "" : ` (default ${flag.shown})`;
}
