/** Parts of the work on a GPU, how each ended, and what it printed: kept in a folder, so that another run goes on. */
import type { Environment } from "./gpu_driver.ts";

/** How a part ended; one that was cut off is to be done again. */
export type Outcome = "ok" | "failed" | "cut off";

export interface Part {
  readonly name: string;
  /** Of Deno. */
  readonly args: readonly string[];
}

const ROOT = new URL("../../", import.meta.url).pathname;
const bench = (
  ...flags: string[]
) => ["run", "-A", "tools/bench/main.ts", "--device", "webgpu", ...flags];
const tests = (...paths: string[]) => ["test", "-A", "--no-check", "--lock=dev.lock", ...paths];
/** Folders whose tests run the kernels: these come first. */
const ON_GPU = ["backend", "engine"];

/** What is worth most comes first. */
export function partsOf(): Part[] {
  const folders = [...Deno.readDirSync(`${ROOT}tests`)].map((e) => e.name).filter(hasTests).sort();
  const rest = folders.filter((f) => !ON_GPU.includes(f));
  return [
    { name: "bench kernels", args: bench("--only", "kernels") },
    { name: "bench steps", args: bench("--only", "steps") },
    { name: "bench tiles", args: bench("--only", "tiles", "--time-each", "100ms") },
    { name: "tests backend", args: tests("tests/backend") },
    { name: "tests engine", args: tests("tests/engine") },
    { name: "bench end-to-end", args: bench("--only", "end-to-end") },
    { name: "100 sentences on both", args: ["run", "-A", "tests/manual/devices.ts"] },
    ...rest.map((f) => ({ name: `tests ${f}`, args: tests(`tests/${f}`) })),
  ];
}

function hasTests(folder: string): boolean {
  try {
    return [...Deno.readDirSync(`${ROOT}tests/${folder}`)].some((e) =>
      e.name.endsWith(".test.ts") || e.isDirectory && hasTests(`${folder}/${e.name}`)
    );
  } catch {
    return false;
  }
}

/** The folder of one adapter and one state of the sources. */
export class Report {
  private constructor(
    private readonly folder: string,
    private readonly of: string,
    private readonly outcomes: Record<string, Outcome>,
  ) {}

  /** Goes on with what is there; what was done on another adapter, or by other sources, does not count. */
  static async open(folder: string, adapter: string): Promise<Report> {
    await Deno.mkdir(folder, { recursive: true });
    const of = `${adapter}, ${await digest(["src", "kernels", "tests"])}`;
    const known = await Deno.readTextFile(`${folder}/state.json`).then(JSON.parse).catch(
      () => ({}),
    );
    return new Report(folder, of, known.of === of ? known.outcomes : {});
  }

  outcome({ name }: Part): Outcome | undefined {
    return this.outcomes[name];
  }

  /** Runs a part; its output goes to the terminal and its file as it comes. Never throws for what the part does. */
  async run(part: Part, { env, leftMs }: { env: Environment; leftMs: number }): Promise<void> {
    const path = `${this.folder}/${part.name.replaceAll(" ", "-")}.txt`;
    const file = await Deno.open(path, { create: true, append: true });
    const say = async (bytes: Uint8Array) => {
      await Deno.stdout.write(bytes);
      await file.write(bytes);
    };
    const line = (text: string) => say(new TextEncoder().encode(`${text}\n`));
    await line(`\n== ${part.name}: deno ${part.args.join(" ")}\n   ${this.of}`);
    const started = performance.now();
    const child = new Deno.Command(Deno.execPath(), {
      args: [...part.args],
      cwd: ROOT,
      env: { ...env, NO_COLOR: "1" },
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    let cut = false;
    const stop = () => {
      cut = true;
      killTree(child.pid);
    };
    const timer = Number.isFinite(leftMs) ? setTimeout(stop, leftMs) : undefined;
    const copy = async (stream: ReadableStream<Uint8Array>) => {
      for await (const bytes of stream) await say(bytes);
    };
    const copied = Promise.all([copy(child.stdout), copy(child.stderr)]);
    const { success } = await child.status;
    clearTimeout(timer);
    // Children of a part that was cut off may hold its pipes open: nobody waits for them.
    await Promise.race([copied, new Promise((resolve) => setTimeout(resolve, 2000))]);
    const outcome = cut ? "cut off" : success ? "ok" : "failed";
    const seconds = (performance.now() - started) / 1e3;
    await line(`== ${part.name}: ${outcome} after ${seconds.toFixed(0)} s`);
    file.close();
    this.outcomes[part.name] = outcome;
    const state = { of: this.of, outcomes: this.outcomes };
    await Deno.writeTextFile(`${this.folder}/state.json`, JSON.stringify(state, undefined, 2));
  }
}

/** Ends a process and those that it started, as far as the system tells who they are. */
function killTree(pid: number): void {
  const parents = new Map<number, number>();
  try {
    for (const { name } of Deno.readDirSync("/proc")) {
      if (!/^\d+$/.test(name)) continue;
      const fields = Deno.readTextFileSync(`/proc/${name}/stat`).split(") ").at(-1)!.split(" ");
      parents.set(Number(name), Number(fields[1]));
    }
  } catch {
    // Not Linux, or a process that has ended meanwhile: the others are known.
  }
  for (const [child, parent] of parents) if (parent === pid) killTree(child);
  try {
    Deno.kill(pid, "SIGKILL");
  } catch {
    // It has ended.
  }
}

/** Names one state of the sources. */
async function digest(folders: readonly string[]): Promise<string> {
  const files: string[] = [];
  const walk = (folder: string) => {
    for (const e of Deno.readDirSync(`${ROOT}${folder}`)) {
      if (e.isDirectory) walk(`${folder}/${e.name}`);
      else if (/\.(ts|wgsl|wasm)$/.test(e.name)) files.push(`${folder}/${e.name}`);
    }
  };
  folders.forEach(walk);
  const texts = files.sort().map((f) => Deno.readTextFileSync(`${ROOT}${f}`));
  const hash = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(texts.join("\0")));
  return new Uint8Array(hash).subarray(0, 6).toHex();
}
