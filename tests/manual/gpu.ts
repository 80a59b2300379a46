/**
 * Everything on a real GPU, one command on a bare machine that has the vendor's driver:
 *
 *   npx -y deno@2.9.6 task gpu
 *
 * Finds a Vulkan driver that offers a GPU (headless NVIDIA installations often lack the loader or the file that names
 * the driver: the first is installed where this is root on Debian, the second written to a temporary folder), runs the
 * test suite on it, then the benchmarks. All output goes to gpu-report.txt, too.
 */

/** Libraries that NVIDIA's driver may offer Vulkan in; the first needs no X server's libraries. */
const NVIDIA = ["libEGL_nvidia.so.0", "libGLX_nvidia.so.0"];
const REPORT = "gpu-report.txt";
const PROBE = `
  const adapter = await navigator.gpu?.requestAdapter({ powerPreference: "high-performance" });
  if (adapter && !adapter.info.isFallbackAdapter) console.log(adapter.info.description || "a GPU");
`;

type Environment = Record<string, string>;

/** The real GPU that a new process finds in this environment, or "". */
async function probe(env: Environment): Promise<string> {
  const { stdout } = await new Deno.Command(Deno.execPath(), { args: ["eval", PROBE], env })
    .output();
  return new TextDecoder().decode(stdout).trim();
}

/** Environments to try: as it is, then with a file that names NVIDIA's driver. */
async function* environments(): AsyncGenerator<Environment> {
  const vulkan = { DENO_WEBGPU_BACKEND: Deno.env.get("DENO_WEBGPU_BACKEND") ?? "vulkan" };
  yield vulkan;
  const folder = await Deno.makeTempDir({ prefix: "moqe-vulkan-" });
  for (const library of NVIDIA) {
    const file = `${folder}/${library}.json`;
    const ICD = { library_path: library, api_version: "1.3.0" };
    await Deno.writeTextFile(file, JSON.stringify({ file_format_version: "1.0.0", ICD }));
    yield { ...vulkan, VK_DRIVER_FILES: file, VK_ICD_FILENAMES: file };
  }
}

async function findGpu(): Promise<{ name: string; env: Environment } | undefined> {
  for await (const env of environments()) {
    const name = await probe(env);
    if (name !== "") return { name, env };
  }
  return undefined;
}

/** Installs the Vulkan loader and what NVIDIA's driver links to, where this is root on Debian. */
async function installLoader(): Promise<void> {
  if (Deno.build.os !== "linux" || Deno.uid() !== 0) return;
  const packages = ["libvulkan1", "libegl1", "libglvnd0", "libx11-6", "libxext6"];
  for (const args of [["update", "-q"], ["install", "-y", "-q", ...packages]]) {
    await new Deno.Command("apt-get", { args }).spawn().status.catch(() => {});
  }
}

const report = await Deno.open(REPORT, { create: true, truncate: true, write: true });
const say = async (bytes: Uint8Array) => {
  await Deno.stdout.write(bytes);
  await report.write(bytes);
};

/** Runs Deno with these arguments; its output goes to the terminal and the report. */
async function run(env: Environment, ...args: string[]): Promise<boolean> {
  await say(new TextEncoder().encode(`\n== deno ${args.join(" ")}\n`));
  const child = new Deno.Command(Deno.execPath(), {
    args,
    env: { ...env, NO_COLOR: "1" },
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const copy = async (stream: ReadableStream<Uint8Array>) => {
    for await (const bytes of stream) await say(bytes);
  };
  const [status] = await Promise.all([child.status, copy(child.stdout), copy(child.stderr)]);
  return status.success;
}

let gpu = await findGpu();
if (gpu === undefined) {
  await installLoader();
  gpu = await findGpu();
}
if (gpu === undefined) {
  console.error(
    "No real GPU is offered through WebGPU. Is the vendor's driver there (nvidia-smi), with its Vulkan part? " +
      "In a container: NVIDIA_DRIVER_CAPABILITIES=all.",
  );
  Deno.exit(1);
}
await say(new TextEncoder().encode(`${gpu.name}, ${JSON.stringify(gpu.env)}\n`));
const tested = await run(gpu.env, "test", "-A", "tests");
const measured = await run(gpu.env, "run", "-A", "main.ts", "bench", "--device", "webgpu");
report.close();
console.log(`\nwritten to ${REPORT}`);
Deno.exit(tested && measured ? 0 : 1);
