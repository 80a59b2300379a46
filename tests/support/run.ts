/**
 * The test command: every test file in a process of its own, as many at once as this machine has processors.
 *
 * A process of its own, because engines hold memory against the resident memory of their process: two files in one
 * would see each other's. A file's output is shown when it ends. Last come the tests that were left out, a line for
 * each part that this machine lacks, and the totals, in one line of the form that `deno test` ends with.
 *
 * deno run -A tests/support/run.ts [--install] [--filter WORDS] [FILE or FOLDER...]
 *
 * --install adds the missing parts first; one that is missing still is a failure.
 */
import { parseArgs } from "node:util";
import { readTree, ROOT } from "../house/tree.ts";
import { installParts } from "./debian.ts";
import { LEFT_OUT, THERE } from "./needs.ts";
import { leftOutLine, PART_NAMES, type PartName, PARTS } from "./parts.ts";

/** These take longest, so they begin first; the rest fills what they leave. Longest first. */
const LONGEST = [
  "tests/engine/shipped.test.ts",
  "tests/cli/files.test.ts",
  "tests/engine/memory.test.ts",
  "tests/http/e2e.test.ts",
  "tests/house/readme.test.ts",
  "tests/cli/translate.test.ts",
  "tests/engine/large.test.ts",
  "tests/pack/s3.test.ts",
  "tests/quant/grid.test.ts",
  "tests/engine/bundle.test.ts",
  "tests/http/deepl_node.test.ts",
  "tests/deploy/permissions.test.ts",
  "tests/engine/beside.test.ts",
];

/** What one process may need: fewer run at once where memory is short. */
const BYTES_EACH = 1.5 * 1024 ** 3;

/** A file that takes longer hangs. */
const MOST_MS = 12 * 60_000;

/** What a command line asks for. */
interface Asked {
  readonly install: boolean;
  /** Of deno test. */
  readonly options: readonly string[];
  readonly files: string[];
}

interface Outcome {
  readonly file: string;
  readonly passed: number;
  readonly steps: number;
  readonly failed: number;
  readonly ignored: number;
  readonly filtered: number;
  readonly seconds: number;
}

/** Test files at or under a path from the root, in order. Throws if there are none. */
function filesAt(path: string): string[] {
  const found = [...readTree(path.replace(/\/+$/, "")).keys()]
    .filter((file) => file === path || file.endsWith(".test.ts"));
  if (found.length === 0) throw new Error(`no *.test.ts under ${path}`);
  return found.sort();
}

/** Longest first; those that are not known to be long keep their order. */
function inOrder(files: readonly string[]): string[] {
  for (const path of LONGEST) Deno.statSync(new URL(path, ROOT));
  const rank = (file: string) => {
    const at = LONGEST.indexOf(file);
    return at < 0 ? LONGEST.length : at;
  };
  return [...files].sort((a, b) => rank(a) - rank(b));
}

/**
 * The numbers of deno test's last line, "ok | 12 passed (3 steps) | 0 failed | 1 ignored (4s)". A file that ends
 * without one, or without a test, has failed, whatever its exit code.
 */
function counts(text: string, success: boolean) {
  const line = text.split("\n").findLast((l) => /^(ok|FAILED) \| \d+ passed/.test(l)) ?? "";
  const number = (word: RegExp) => Number(line.match(word)?.[1] ?? 0);
  const counted = {
    passed: number(/(\d+) passed/),
    steps: number(/passed \((\d+) step/),
    failed: number(/(\d+) failed/),
    ignored: number(/(\d+) ignored/),
    filtered: number(/(\d+) filtered out/),
  };
  const { passed, failed, ignored, filtered } = counted;
  const isWhole = success && passed + failed + ignored + filtered > 0;
  return { ...counted, failed: isWhole ? failed : Math.max(1, failed) };
}

const NOTHING = { success: false, stdout: new Uint8Array(), stderr: new Uint8Array() };

/** Ends a process that may have ended; `after` some seconds in which what it wrote can still come. */
function end(child: Deno.ChildProcess, signal: Deno.Signal, after?: (nothing: undefined) => void) {
  try {
    child.kill(signal);
  } catch { /* it has just ended */ }
  // Something that it started may hold its output open for ever.
  if (after !== undefined) setTimeout(() => after(undefined), 5000);
}

/** The processes at work, by their files. */
const running = new Map<string, Deno.ChildProcess>();

/** Runs one file, for no longer than any may take. */
async function runFile(
  file: string,
  options: readonly string[],
  env: Record<string, string>,
): Promise<Outcome> {
  const from = performance.now(), decoder = new TextDecoder();
  const child = new Deno.Command(Deno.execPath(), {
    args: ["test", "-A", "--no-check", "--lock=dev.lock", ...options, file],
    cwd: ROOT,
    env: { NO_COLOR: "1", ...env },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  running.set(file, child);
  const late = Promise.withResolvers<undefined>();
  let isLate = false;
  const timer = setTimeout(() => {
    isLate = true;
    end(child, "SIGKILL", late.resolve);
  }, MOST_MS);
  const output = await Promise.race([child.output(), late.promise]);
  clearTimeout(timer);
  running.delete(file);
  if (isLate) console.log(`${file} was ended: it took more than ${MOST_MS / 60_000} minutes`);
  const { success, stdout, stderr } = output ?? NOTHING;
  const text = decoder.decode(stdout), seconds = (performance.now() - from) / 1000;
  console.log(`${text.trim()}\n${decoder.decode(stderr)}`);
  return { file, ...counts(text, success), seconds };
}

/** How many at once: processors, but no more than memory allows. */
function processesAtOnce(): number {
  const byMemory = Math.floor(Deno.systemMemoryInfo().available / BYTES_EACH);
  return Math.max(1, Math.min(navigator.hardwareConcurrency, byMemory));
}

function stopOn(signal: "SIGINT" | "SIGTERM"): void {
  Deno.addSignalListener(signal, () => {
    for (const [file, child] of running) {
      console.log(`${file} was running`);
      end(child, signal);
    }
    Deno.exit(signal === "SIGINT" ? 130 : 143);
  });
}

/** Parts that this machine lacks; each is looked for by its own means. */
function missingParts(): PartName[] {
  return PART_NAMES.filter((name) => !PARTS[name].isThere());
}

/** Prints the totals, what was left out just before them; whether all is well. */
function report(outcomes: readonly Outcome[], leftOut: LeftOut, seconds: number): boolean {
  const sum = (of: keyof Omit<Outcome, "file">) => outcomes.reduce((all, o) => all + o[of], 0);
  for (const { file, failed } of outcomes) if (failed > 0) console.log(`FAILED ${file}: ${failed}`);
  for (const line of leftOut.lines) console.log(line);
  const failed = sum("failed") + leftOut.failed;
  const steps = sum("steps") > 0 ? ` (${sum("steps")} steps)` : "";
  const also = (["ignored", "filtered"] as const).map((name) =>
    sum(name) > 0 ? ` | ${sum(name)} ${name === "filtered" ? "filtered out" : name}` : ""
  ).join("");
  const time = `${Math.floor(seconds / 60)}m${Math.round(seconds % 60)}s`;
  const word = failed === 0 ? "ok" : "FAILED";
  console.log(`${word} | ${sum("passed")} passed${steps} | ${failed} failed${also} (${time})`);
  const ran = sum("passed") + failed;
  if (ran === 0) console.log("no test was run");
  return failed === 0 && ran > 0;
}

/** What was left out: lines to print, and how much of it counts as failed. */
export interface LeftOut {
  readonly lines: readonly string[];
  readonly failed: number;
}

/**
 * A line for each missing part that tests asked for, and the one command that adds all that can be added. After
 * `--install` each such part is a failure.
 */
export function leftOutOf(noted: readonly string[], install: boolean): LeftOut {
  const lines = PART_NAMES.flatMap((name) => {
    const tests = noted.filter((n) => n === name).length;
    return tests > 0 ? [leftOutLine(name, tests)] : [];
  });
  if (install) return { lines: lines.map((l) => `FAILED ${l}`), failed: lines.length };
  const all = "to run every test, with all that packages add: deno task test --install";
  return { lines: lines.length === 0 ? [] : [...lines, all], failed: 0 };
}

/** What the command line asks for; a line and exit code 2 if that is nothing that there is. */
function asked(): Asked {
  try {
    const { values, positionals } = parseArgs({
      options: { install: { type: "boolean", default: false }, filter: { type: "string" } },
      allowPositionals: true,
    });
    const paths = positionals.length > 0 ? positionals : ["tests"];
    const options = values.filter === undefined ? [] : [`--filter=${values.filter}`];
    return { install: values.install, options, files: inOrder(paths.flatMap(filesAt)) };
  } catch (error) {
    console.error(
      `${
        (error as Error).message
      }\ndeno task test [--install] [--filter WORDS] [FILE or FOLDER...]`,
    );
    Deno.exit(2);
  }
}

/** Runs files, so many at once, until none is left. */
async function runAll({ files, options }: Asked, env: Record<string, string>): Promise<Outcome[]> {
  const outcomes: Outcome[] = [], all = files.length, width = processesAtOnce();
  console.log(`${all} test files, ${width} at once\n`);
  const work = async () => {
    for (let file = files.shift(); file !== undefined; file = files.shift()) {
      console.log(`-- begins ${file}\n`);
      const outcome = await runFile(file, options, env);
      outcomes.push(outcome);
      console.log(
        `-- ${outcomes.length} of ${all} files, ${file} ${outcome.seconds.toFixed(1)}s\n`,
      );
    }
  };
  await Promise.all(Array.from({ length: width }, work));
  return outcomes;
}

if (import.meta.main) {
  stopOn("SIGINT");
  stopOn("SIGTERM");
  const from = performance.now(), wanted = asked();
  let missing = missingParts();
  if (wanted.install && missing.length > 0) {
    await installParts(missing);
    missing = missingParts();
  }
  const file = await Deno.makeTempFile({ prefix: "moqe-left-out-" });
  const there = PART_NAMES.filter((name) => !missing.includes(name));
  const outcomes = await runAll(wanted, { [THERE]: there.join(), [LEFT_OUT]: file });
  const noted = (await Deno.readTextFile(file)).split("\n");
  await Deno.remove(file);
  const leftOut = leftOutOf(noted, wanted.install);
  Deno.exit(report(outcomes, leftOut, (performance.now() - from) / 1000) ? 0 : 1);
}
