/** What a chat template may call, and the constants of Jinja. */
import { Environment } from "@huggingface/jinja";
import { TemplateBound } from "./template_values.ts";

/** Thrown by a template's own `raise_exception`. */
export class Refusal extends Error {}

const LONGEST_RANGE = 2 ** 16;

/** The outermost scope of a template. Without a date there is no `strftime_now`: no clock is read. */
export function templateGlobals(date: Date | undefined): Environment {
  const scope = new Environment();
  for (const [name, value] of [["true", true], ["false", false], ["none", null]] as const) {
    scope.set(name, value);
    scope.set(name[0]!.toUpperCase() + name.slice(1), value);
  }
  scope.set("range", range);
  scope.set("raise_exception", (message: unknown) => {
    throw new Refusal(String(message));
  });
  if (date !== undefined) {
    scope.set("strftime_now", (format: unknown) => strftime(date, String(format)));
  }
  return scope;
}

/** Python's range, of at most LONGEST_RANGE numbers. */
function range(first: unknown, second?: unknown, by: unknown = 1): number[] {
  const [start, stop] = second === undefined ? [0, first] : [first, second];
  if (![start, stop, by].every(Number.isSafeInteger) || by === 0) {
    throw new Error("range() takes whole numbers, and a step that is not 0");
  }
  const count = Math.max(0, Math.ceil((Number(stop) - Number(start)) / Number(by)));
  if (count > LONGEST_RANGE) {
    throw new TemplateBound(`range() gives ${LONGEST_RANGE} numbers at most`);
  }
  return Array.from({ length: count }, (_, i) => Number(start) + i * Number(by));
}

const two = (n: number) => String(n).padStart(2, "0");
const named = (options: Intl.DateTimeFormatOptions) => {
  const format = new Intl.DateTimeFormat("en-US", { ...options, timeZone: "UTC" });
  return (date: Date) => format.format(date);
};
const DATE_CODES: Record<string, (date: Date) => string> = {
  Y: (date) => String(date.getUTCFullYear()).padStart(4, "0"),
  y: (date) => two(date.getUTCFullYear() % 100),
  m: (date) => two(date.getUTCMonth() + 1),
  d: (date) => two(date.getUTCDate()),
  H: (date) => two(date.getUTCHours()),
  M: (date) => two(date.getUTCMinutes()),
  S: (date) => two(date.getUTCSeconds()),
  B: named({ month: "long" }),
  b: named({ month: "short" }),
  A: named({ weekday: "long" }),
  a: named({ weekday: "short" }),
  "%": () => "%",
};

/** Python's strftime for the codes that templates use, in English and UTC. */
function strftime(date: Date, format: string): string {
  return format.replace(/%(.)/gsu, (code, letter) => {
    const write = Object.hasOwn(DATE_CODES, letter) ? DATE_CODES[letter] : undefined;
    if (write === undefined) throw new Error(`strftime_now() does not know ${code}`);
    return write(date);
  });
}
