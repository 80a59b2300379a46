/** The compiled kernels (kernels/cpu.wasm) as typed functions over one memory. Pointers are byte offsets. */
import bytes from "../../../kernels/cpu.wasm" with { type: "bytes" };
import { MoqeError } from "../../base/errors.ts";

/** Kinds of weights, as kernels/wasm/decode.ts names them. */
export const Kind = {
  f32: 0,
  f16: 1,
  two: 2,
  levels2: 3,
  four: 4,
  eight: 5,
  three: 6,
  levels3: 7,
  levels4: 8,
  trellis: 9,
} as const;
export type Kind = typeof Kind[keyof typeof Kind];

/** A kernel: pointers, sizes and scalars in; nothing out. */
export type Call = (...args: number[]) => void;

/** Parameters, in order, are in the kernels' sources. */
export interface Kernels {
  stage: Call;
  rotate: Call;
  gemv2: Call;
  gemv3: Call;
  gemv4: Call;
  gemv8: Call;
  gemv16: Call;
  gemv32: Call;
  gemvTile: Call;
  gemvTrellis: Call;
  gemm: Call;
  layerNorm: Call;
  rmsNorm: Call;
  embed: Call;
  gate: Call;
  clamp: Call;
  rotary: Call;
  segmentAttention: Call;
  pagedAttention: Call;
  storeKv: Call;
  choose: Call;
  combine: Call;
  vocabBegin: Call;
  vocabTile: Call;
  vocabEnd: Call;
}

let compiled: WebAssembly.Module | undefined;

/** Instantiates the kernels over `memory`. Throws MoqeError `unsupported` without WASM (relaxed) SIMD. */
export function loadKernels(memory: WebAssembly.Memory): Kernels {
  try {
    compiled ??= new WebAssembly.Module(bytes as BufferSource);
    const instance = new WebAssembly.Instance(compiled, { env: { memory } });
    return instance.exports as unknown as Kernels;
  } catch (cause) {
    throw new MoqeError("unsupported", {
      action: "start the CPU backend",
      rule: "its kernels need WebAssembly with SIMD and relaxed SIMD",
      observed: String(cause),
      remedy: "use the Deno version that deno.json names",
      cause,
    });
  }
}
