/** The kernels: their sources, what each binds, and their pipelines, compiled once for each set of constants. */
import attention from "../../../kernels/wgsl/attention.wgsl" with { type: "text" };
import choose from "../../../kernels/wgsl/choose.wgsl" with { type: "text" };
import clamp from "../../../kernels/wgsl/clamp.wgsl" with { type: "text" };
import combine from "../../../kernels/wgsl/combine.wgsl" with { type: "text" };
import distanceBias from "../../../kernels/wgsl/distance_bias.wgsl" with { type: "text" };
import embed from "../../../kernels/wgsl/embed.wgsl" with { type: "text" };
import expertsGemm from "../../../kernels/wgsl/experts_gemm.wgsl" with { type: "text" };
import expertsGemv from "../../../kernels/wgsl/experts_gemv.wgsl" with { type: "text" };
import expertsSort from "../../../kernels/wgsl/experts_sort.wgsl" with { type: "text" };
import gate from "../../../kernels/wgsl/gate.wgsl" with { type: "text" };
import gemm from "../../../kernels/wgsl/gemm.wgsl" with { type: "text" };
import gemv from "../../../kernels/wgsl/gemv.wgsl" with { type: "text" };
import layerNorm from "../../../kernels/wgsl/layer_norm.wgsl" with { type: "text" };
import linearGemm from "../../../kernels/wgsl/linear_gemm.wgsl" with { type: "text" };
import linearGemv from "../../../kernels/wgsl/linear_gemv.wgsl" with { type: "text" };
import lookUp from "../../../kernels/wgsl/look_up.wgsl" with { type: "text" };
import rotary from "../../../kernels/wgsl/rotary.wgsl" with { type: "text" };
import stageRows from "../../../kernels/wgsl/stage_rows.wgsl" with { type: "text" };
import storeKv from "../../../kernels/wgsl/store_kv.wgsl" with { type: "text" };
import vocabMerge from "../../../kernels/wgsl/vocab_merge.wgsl" with { type: "text" };
import vocabTile from "../../../kernels/wgsl/vocab_tile.wgsl" with { type: "text" };
import weights from "../../../kernels/wgsl/weights.wgsl" with { type: "text" };

/** A kernel: WGSL with an entry point `main`. */
export interface Kernel {
  readonly name: string;
  readonly source: string;
  /** Bindings from 1 on, a letter each: r reads, w reads and writes, - is not there. Binding 0 is the parameters. */
  readonly access: string;
}

const kernel = (name: string, access: string, ...sources: string[]): Kernel => ({
  name,
  source: sources.join("\n"),
  access,
});

export const KERNELS = {
  linearGemv: kernel("linear_gemv", "rrrrrrw", weights, gemv, linearGemv),
  linearGemm: kernel("linear_gemm", "rrrrrrw", weights, gemm, linearGemm),
  expertsGemv: kernel("experts_gemv", "rrrr-rw", weights, gemv, expertsGemv),
  expertsSort: kernel("experts_sort", "---r-rw", expertsSort),
  expertsGemm: kernel("experts_gemm", "rrrr--w", weights, gemm, expertsGemm),
  stageRows: kernel("stage_rows", "r-----w", stageRows),
  embed: kernel("embed", "rrrrrrw", weights, embed),
  layerNorm: kernel("layer_norm", "rrr--rw", layerNorm),
  gate: kernel("gate", "r----rw", gate),
  clamp: kernel("clamp", "-----rw", clamp),
  rotary: kernel("rotary", "rr---rw", rotary),
  attention: kernel("attention", "rrrrrrwr", attention),
  distanceBias: kernel("distance_bias", "rr----w", distanceBias),
  storeKv: kernel("store_kv", "rr-r-rw", storeKv),
  choose: kernel("choose", "r---wrw", choose),
  lookUp: kernel("look_up", "wrrrwww", lookUp),
  combine: kernel("combine", "rrr--rw", combine),
  vocabTile: kernel("vocab_tile", "r----rw", vocabTile),
  vocabMerge: kernel("vocab_merge", "r---wrw", vocabMerge),
} as const;

/** Values of a kernel's `override` constants. */
export type Constants = Readonly<Record<string, number>>;

/** A pipeline and the layout that its bind groups have. */
export interface Compiled {
  readonly pipeline: GPUComputePipeline;
  readonly layout: GPUBindGroupLayout;
}

/** Bytes of parameters that every kernel is given room for. */
export const PARAMS_BYTES = 128;

const pipelines = new WeakMap<GPUDevice, Pipelines>();

/** A device's pipelines, whoever asks. */
export function pipelinesOf(device: GPUDevice): Pipelines {
  let known = pipelines.get(device);
  if (known === undefined) pipelines.set(device, known = new Pipelines(device));
  return known;
}

/** Pipelines by kernel and constants, bind group layouts by access. */
export class Pipelines {
  readonly #compiled = new Map<string, Compiled>();
  /** The same by the identity of constants, which callers keep: no text is made on the way of a call. */
  readonly #known = new Map<Kernel, WeakMap<Constants, Compiled>>();
  readonly #layouts = new Map<string, { group: GPUBindGroupLayout; pipeline: GPUPipelineLayout }>();
  readonly #modules = new Map<Kernel, GPUShaderModule>();

  constructor(readonly device: GPUDevice) {}

  /** Number of pipelines compiled so far. */
  get count(): number {
    return this.#compiled.size;
  }

  /** A pipeline that was compiled before, or now: a kernel's first call with its constants waits for the compiler. */
  get(kernel: Kernel, constants: Constants): Compiled {
    let known = this.#known.get(kernel);
    if (known === undefined) this.#known.set(kernel, known = new WeakMap());
    let made = known.get(constants);
    if (made === undefined) known.set(constants, made = this.#find(kernel, constants));
    return made;
  }

  #find(kernel: Kernel, constants: Constants): Compiled {
    const key = keyOf(kernel, constants);
    const known = this.#compiled.get(key);
    if (known !== undefined) return known;
    const { group, descriptor } = this.#describe(kernel, constants);
    const made = { pipeline: this.device.createComputePipeline(descriptor), layout: group };
    this.#compiled.set(key, made);
    return made;
  }

  /** Compiles ahead of the first call. */
  async prepare(wanted: readonly (readonly [Kernel, Constants])[]): Promise<void> {
    await Promise.all(wanted.map(async ([kernel, constants]) => {
      const key = keyOf(kernel, constants);
      if (this.#compiled.has(key)) return;
      const { group, descriptor } = this.#describe(kernel, constants);
      const pipeline = await this.device.createComputePipelineAsync(descriptor);
      this.#compiled.set(key, { pipeline, layout: group });
    }));
  }

  #describe(kernel: Kernel, constants: Constants) {
    const { group, pipeline: layout } = this.#layout(kernel.access);
    let module = this.#modules.get(kernel);
    if (module === undefined) {
      module = this.device.createShaderModule({ label: kernel.name, code: kernel.source });
      this.#modules.set(kernel, module);
    }
    const compute = { module, entryPoint: "main", constants: { ...constants } };
    return { group, descriptor: { label: kernel.name, layout, compute } };
  }

  #layout(access: string) {
    const known = this.#layouts.get(access);
    if (known !== undefined) return known;
    const entries: GPUBindGroupLayoutEntry[] = [{
      binding: 0,
      visibility: GPUShaderStage.COMPUTE,
      buffer: { type: "uniform", hasDynamicOffset: true, minBindingSize: PARAMS_BYTES },
    }];
    for (let i = 0; i < access.length; i++) {
      if (access[i] === "-") continue;
      const type = access[i] === "w" ? "storage" : "read-only-storage";
      entries.push({ binding: i + 1, visibility: GPUShaderStage.COMPUTE, buffer: { type } });
    }
    const group = this.device.createBindGroupLayout({ entries });
    const pipeline = this.device.createPipelineLayout({ bindGroupLayouts: [group] });
    const made = { group, pipeline };
    this.#layouts.set(access, made);
    return made;
  }
}

function keyOf(kernel: Kernel, constants: Constants): string {
  let key = kernel.name;
  for (const name in constants) key += ` ${name}=${constants[name]}`;
  return key;
}
