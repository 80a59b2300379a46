/** Where a new process finds a GPU: environments to start it in, and what a bare machine lacks. */

/** Libraries that NVIDIA's driver may offer Vulkan in; the first needs no X server's libraries. */
const NVIDIA = ["libEGL_nvidia.so.0", "libGLX_nvidia.so.0"];

/** Prints the adapter's name, unless it is a software one and `any` is not "true". */
const PROBE = `
  const adapter = await navigator.gpu?.requestAdapter({ powerPreference: "high-performance" });
  const taken = adapter && (Deno.args[0] === "true" || !adapter.info.isFallbackAdapter);
  if (taken) console.log(adapter.info.description || "a GPU");
`;

export type Environment = Record<string, string>;

/** The GPU that a new process finds in this environment, or "". */
async function probe(env: Environment, any: boolean): Promise<string> {
  const args = ["eval", PROBE, String(any)];
  const { stdout } = await new Deno.Command(Deno.execPath(), { args, env }).output();
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

/** The first environment with a GPU; with `any` a software one will do where there is no other. */
export async function findGpu(
  any: boolean,
): Promise<{ name: string; env: Environment } | undefined> {
  const tries: Environment[] = [];
  for await (const env of environments()) {
    tries.push(env);
    const name = await probe(env, false);
    if (name !== "") return { name, env };
  }
  if (!any) return undefined;
  const name = await probe(tries[0]!, true);
  return name === "" ? undefined : { name, env: tries[0]! };
}

/** Installs the Vulkan loader and what NVIDIA's driver links to, where this is root on Debian. */
export async function installLoader(): Promise<void> {
  if (Deno.build.os !== "linux" || Deno.uid() !== 0) return;
  const packages = ["libvulkan1", "libegl1", "libglvnd0", "libx11-6", "libxext6"];
  for (const args of [["update", "-q"], ["install", "-y", "-q", ...packages]]) {
    await new Deno.Command("apt-get", { args }).spawn().status.catch(() => {});
  }
}
