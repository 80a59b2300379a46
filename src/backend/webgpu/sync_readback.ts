/**
 * Does this runtime hand over a mapped buffer without waiting? It is not documented, and where it does not hold the
 * process may die: so a child process tries it, and the answer is kept by runtime and adapter.
 */
import { replaceText } from "../../base/files.ts";

const TRIALS = 200;
const PATIENCE_MS = 10_000;

/**
 * Runs in the child, as text: it may use nothing from around it. Prints "right" when every trial was, and how many
 * milliseconds one took.
 */
async function trial(trials: number): Promise<void> {
  const adapter = await navigator.gpu.requestAdapter({ powerPreference: "high-performance" });
  const device = await adapter!.requestDevice();
  const bytes = 4096;
  const source = device.createBuffer({
    size: bytes,
    usage: GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST,
  });
  const staging = device.createBuffer({
    size: bytes,
    usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
  });
  let right = true;
  for (let i = 0; i <= trials; i++) {
    device.queue.writeBuffer(source, 0, new Uint32Array(bytes / 4).fill(i));
    const encoder = device.createCommandEncoder();
    encoder.copyBufferToBuffer(source, 0, staging, 0, bytes);
    device.queue.submit([encoder.finish()]);
    const ready = staging.mapAsync(GPUMapMode.READ);
    // The first map must be awaited wherever this runs.
    if (i === 0) await ready;
    else ready.catch(() => {});
    right &&= new Uint32Array(staging.getMappedRange()).every((word) => word === i);
    staging.unmap();
  }
  console.log(right ? "right" : "wrong");
}

/** True where the self-test passes or has passed for this runtime and adapter; what it said is kept in `file`. */
export async function syncReadbackWorks(
  adapterName: string,
  file: string | undefined = rememberedFile(),
): Promise<boolean> {
  const key = `deno ${Deno.version.deno}, ${adapterName}`;
  const known = await remembered(file);
  if (typeof known[key] === "boolean") return known[key];
  const works = await tryInChild();
  if (file !== undefined && works !== undefined) await remember(file, { ...known, [key]: works });
  return works ?? false;
}

/** Runs the trial in a process of its own; undefined where that says nothing about the runtime. */
async function tryInChild(): Promise<boolean | undefined> {
  const signal = AbortSignal.timeout(PATIENCE_MS);
  try {
    const child = new Deno.Command(Deno.execPath(), {
      args: ["eval", `await (${trial})(${TRIALS})`],
      stdin: "null",
      stdout: "piped",
      stderr: "null",
      signal,
    });
    const { success, stdout } = await child.output();
    // A machine that is busy now need not be so at the next start.
    if (signal.aborted) return undefined;
    return success && new TextDecoder().decode(stdout).trim() === "right";
  } catch {
    // No permission to run, no such program: the next start may have them.
    return undefined;
  }
}

/** $XDG_STATE_HOME or ~/.local/state; undefined where neither is known. */
function rememberedFile(): string | undefined {
  try {
    const home = Deno.env.get("HOME") ?? Deno.env.get("USERPROFILE");
    const state = Deno.env.get("XDG_STATE_HOME") || (home && `${home}/.local/state`);
    return state ? `${state}/moqe/sync_readback.json` : undefined;
  } catch {
    return undefined;
  }
}

async function remembered(file: string | undefined): Promise<Record<string, unknown>> {
  try {
    const found: unknown = file === undefined ? {} : JSON.parse(await Deno.readTextFile(file));
    return typeof found === "object" && found !== null ? { ...found } : {};
  } catch {
    // Nothing remembered, or not by us: the trial is run again.
    return {};
  }
}

async function remember(file: string, answers: Record<string, unknown>): Promise<void> {
  try {
    await Deno.mkdir(file.slice(0, file.lastIndexOf("/")), { recursive: true });
    await replaceText(file, JSON.stringify(answers, undefined, 2));
  } catch {
    // A state directory that cannot be written costs a second at the next start, no more.
  }
}
