/** Builds kernels/cpu.wasm from kernels/wasm; with --check, fails unless the committed file equals a rebuild. */
import asc from "assemblyscript/asc";

const SOURCES = new URL("./wasm/", import.meta.url);
const TARGET = new URL("./cpu.wasm", import.meta.url);

/** Level 3 moves each row's multiply-adds behind all loads of a block: the vectors no longer fit in registers. */
const FLAGS = [
  "index.ts",
  "--outFile=cpu.wasm",
  "--enable=simd",
  "--enable=relaxed-simd",
  "--runtime=stub",
  "--importMemory",
  "--enable=threads",
  "--sharedMemory",
  "--initialMemory=1",
  "--maximumMemory=65536",
  "--noExportMemory",
  "--noAssert",
  "--optimizeLevel=2",
  "--shrinkLevel=0",
];

/** Compiles the sources in this process. Throws Error with the compiler's messages. */
export async function buildKernels(): Promise<Uint8Array> {
  let built: Uint8Array | undefined;
  const result = await asc.main(FLAGS, {
    readFile: (name) => {
      try {
        return Deno.readTextFileSync(new URL(name, SOURCES));
      } catch {
        return null;
      }
    },
    writeFile: (name, contents) => {
      if (name === "cpu.wasm") built = contents as Uint8Array;
    },
    listFiles: () => [],
  });
  if (result.error !== null || built === undefined) {
    throw new Error(`cannot build the kernels: ${result.stderr.toString()}`, {
      cause: result.error,
    });
  }
  return built;
}

/** Undefined if the committed bytes are what the sources give, else what to do. */
export async function checkKernels(): Promise<string | undefined> {
  const built = await buildKernels();
  const committed = await Deno.readFile(TARGET).catch(() => new Uint8Array());
  const same = built.length === committed.length && built.every((b, i) => b === committed[i]);
  return same ? undefined : "kernels/cpu.wasm is not what kernels/wasm builds: run deno task wasm";
}

if (import.meta.main) {
  if (Deno.args.includes("--check")) {
    const fault = await checkKernels();
    if (fault !== undefined) {
      console.error(fault);
      Deno.exit(1);
    }
  } else {
    const built = await buildKernels();
    await Deno.writeFile(TARGET, built);
    console.log(`kernels/cpu.wasm: ${built.length} bytes`);
  }
}
