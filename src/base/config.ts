/** Flags said once: name, environment variable, type, default and help of each; parsing and `--help` derive from it. */
import { MoqeError } from "./errors.ts";
import { parseBytes, parseDurationMs } from "./units.ts";

/** One flag. Its key in a `Flags` table is camelCase: maxQueue is `--max-queue` and MOQE_MAX_QUEUE. */
export interface Flag<T> {
  /** What the value is called in help: SIZE, N; undefined for a switch, which takes none. */
  readonly placeholder: string | undefined;
  readonly help: string;
  /** The value where neither the command line nor the environment has one. */
  readonly fallback: T;
  /** The fallback as help shows it; "" where there is none. */
  readonly shown: string;
  /** Given several times, its values are joined by commas. */
  readonly repeats?: boolean;
  /** Reads a value. Throws RangeError that says what is accepted. */
  parse(text: string): T;
}

/** A table of flags by camelCase key. */
// deno-lint-ignore no-explicit-any
export type Flags = Readonly<Record<string, Flag<any>>>;

/** The values that a table of flags resolves to. */
export type Values<F extends Flags> = { [K in keyof F]: F[K] extends Flag<infer T> ? T : never };

/** A size in bytes, written "256MiB". */
export function size(fallback: string, help: string): Flag<number> {
  return {
    placeholder: "SIZE",
    help,
    fallback: parseBytes(fallback),
    shown: fallback,
    parse: parseBytes,
  };
}

/** A size in bytes that may be left out. */
export function optionalSize(help: string): Flag<number | undefined> {
  return { ...size("1", help), fallback: undefined, shown: "" };
}

/** A duration in milliseconds, written "30s". */
export function duration(fallback: string, help: string): Flag<number> {
  return {
    placeholder: "TIME",
    help,
    fallback: parseDurationMs(fallback),
    shown: fallback,
    parse: parseDurationMs,
  };
}

/** A whole number from `min` to `max`. */
export function int(
  fallback: number,
  range: { min: number; max: number },
  help: string,
): Flag<number> {
  return number(fallback, range, help, true);
}

/** A number from `min` to `max`. */
export function number(
  fallback: number,
  range: { min: number; max: number },
  help: string,
  wholeOnly = false,
): Flag<number> {
  const kind = wholeOnly ? "a whole number" : "a number";
  return {
    placeholder: "N",
    help,
    fallback,
    shown: String(fallback),
    parse(text) {
      const value = text.trim() === "" ? NaN : Number(text);
      const ok = wholeOnly ? Number.isSafeInteger(value) : Number.isFinite(value);
      if (!ok || value < range.min || value > range.max) {
        throw new RangeError(`"${text}" is not ${kind} from ${range.min} to ${range.max}`);
      }
      return value;
    },
  };
}

/** One of a few words. */
export function choice<T extends string>(
  words: readonly T[],
  fallback: T,
  help: string,
): Flag<T> {
  return {
    placeholder: words.join("|"),
    help,
    fallback,
    shown: fallback,
    parse(text) {
      const word = words.find((w) => w === text);
      if (word !== undefined) return word;
      throw new RangeError(`"${text}" is not one of ${words.join(", ")}`);
    },
  };
}

/** One of a few words, or nothing said. */
export function optionalChoice<T extends string>(
  words: readonly T[],
  help: string,
): Flag<T | undefined> {
  return { ...choice(words, words[0]!, help), fallback: undefined, shown: "" };
}

/** Free text that has a default. */
export function text(placeholder: string, fallback: string, help: string): Flag<string> {
  return { placeholder, help, fallback, shown: fallback, parse: nonEmpty };
}

/** Free text that may be missing. */
export function optionalText(placeholder: string, help: string): Flag<string | undefined> {
  return { placeholder, help, fallback: undefined, shown: "", parse: nonEmpty };
}

/** Words separated by commas. */
export function list(placeholder: string, help: string): Flag<string[]> {
  return {
    placeholder,
    help,
    fallback: [],
    shown: "",
    repeats: true,
    parse: (value) => nonEmpty(value).split(",").map((word) => nonEmpty(word.trim())),
  };
}

/** A switch: off unless named; in the environment 1, true, 0 or false. */
export function toggle(help: string): Flag<boolean> {
  return {
    placeholder: undefined,
    help,
    fallback: false,
    shown: "",
    parse(value) {
      if (value === "1" || value === "true") return true;
      if (value === "0" || value === "false") return false;
      throw new RangeError(`"${value}" is not one of 1, true, 0, false`);
    },
  };
}

/** maxQueue is "max-queue"; manifestSha256 is "manifest-sha256". */
export function flagName(key: string): string {
  return key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

/** maxQueue is "MOQE_MAX_QUEUE". */
export function environmentName(key: string): string {
  return `MOQE_${flagName(key).replaceAll("-", "_").toUpperCase()}`;
}

/**
 * The value of every flag: from the command line, else the environment, else the default.
 * `given` holds raw values by camelCase key. Throws MoqeError `bad_input` that lists every bad value.
 */
export function resolveFlags<F extends Flags>(
  flags: F,
  given: Readonly<Record<string, string>>,
  environment: (name: string) => string | undefined,
): Values<F> {
  const values: Record<string, unknown> = {};
  const faults: string[] = [];
  for (const [key, flag] of Object.entries(flags)) {
    const fromEnvironment = environment(environmentName(key));
    const raw = given[key] ?? (fromEnvironment === "" ? undefined : fromEnvironment);
    const from = given[key] === undefined ? environmentName(key) : `--${flagName(key)}`;
    try {
      values[key] = raw === undefined ? flag.fallback : flag.parse(raw);
    } catch (thrown) {
      if (!(thrown instanceof RangeError)) throw thrown;
      faults.push(`${from}: ${thrown.message}`);
    }
  }
  if (faults.length > 0) {
    throw new MoqeError("bad_input", { action: "read the flags", rule: faults.join("; ") });
  }
  return values as Values<F>;
}

/** The word nearest to a mistyped one, or undefined when none is near. */
export function nearest(word: string, words: readonly string[]): string | undefined {
  let best: string | undefined, bestDistance = Math.max(2, Math.floor(word.length / 3)) + 1;
  for (const candidate of words) {
    const distance = editDistance(word, candidate);
    if (distance < bestDistance) [best, bestDistance] = [candidate, distance];
  }
  return best;
}

/** Levenshtein's distance, one row at a time. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const swap = row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(swap, row[j]! + 1, next[j - 1]! + 1));
    }
    row = next;
  }
  return row[b.length]!;
}

function nonEmpty(value: string): string {
  if (value === "") throw new RangeError("the value is empty");
  return value;
}
