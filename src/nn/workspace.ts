/** The activations of one forward pass: taken once at the largest size, seen through views of fewer rows. */
import type { Backend, DeviceRange, Tensor } from "../backend/contract.ts";
import type { ModelSpec } from "./spec.ts";
import { StepBuffers, stepBytes } from "./step.ts";

export interface WorkspaceShape {
  /** Rows (tokens) of the largest call. */
  readonly maxRows: number;
  readonly topK: number;
  /** Most candidates a row asked of the vocabulary. */
  readonly maxCandidates: number;
  /** Pages of a decoder row's tables, own and cross together, at the most. */
  readonly tablePages: number;
}

/** What blocks of one stack write to. */
export interface Views {
  /** The first `rows` rows of a tensor, read as `cols` columns where that is narrower than it was made. */
  view(name: TensorName, rows: number, cols?: number): Tensor;
  /** i32 [rows * topK]: experts chosen while encoding; their places in a decoder step. */
  readonly expertIds: DeviceRange;
  readonly places: DeviceRange;
}

/** All device memory that a pass writes to, besides K/V pages and backend scratch. */
export class Workspace implements Views {
  readonly maxRows: number;
  readonly expertIds: DeviceRange;
  readonly places: DeviceRange;
  readonly step: StepBuffers;
  /** The encoder's: what must outlast a wait for experts is its own, so that decoder steps may run meanwhile. */
  readonly encoder: Views;
  readonly #tensors: Record<TensorName, Tensor>;
  readonly #encoders: Record<LastingName, Tensor>;

  constructor(backend: Backend, spec: ModelSpec, shape: WorkspaceShape) {
    this.maxRows = shape.maxRows;
    const sizes = workspaceSizes(spec, shape);
    const make = <Name extends TensorName>(names: readonly Name[], of: string) =>
      Object.fromEntries(names.map((name): [Name, Tensor] => {
        const [rows, cols] = sizes[name];
        const buffer = backend.alloc(of + name, rows * cols * 4, "activations");
        return [name, { buffer, offset: 0, rows, cols }];
      })) as Record<Name, Tensor>;
    this.#tensors = make(TENSORS, "");
    this.#encoders = make(LASTING, "encoder ");
    const ids = (label: string, n: number): DeviceRange => ({
      buffer: backend.alloc(label, n * 4, "activations"),
      offset: 0,
    });
    this.expertIds = ids("expert ids", shape.maxRows * shape.topK);
    this.places = ids("places", shape.maxRows * shape.topK);
    this.step = new StepBuffers(backend, spec, shape);
    const encoders = { ...this.#tensors, ...this.#encoders };
    const { expertIds, places } = this;
    this.encoder = {
      expertIds,
      places,
      view: (name, rows, cols) => viewOf(encoders[name], name, rows, cols),
    };
  }

  view(name: TensorName, rows: number, cols?: number): Tensor {
    return viewOf(this.#tensors[name], name, rows, cols);
  }

  /** Gives everything back. */
  free(backend: Backend): void {
    for (const t of Object.values(this.#tensors)) backend.free(t.buffer);
    for (const t of Object.values(this.#encoders)) backend.free(t.buffer);
    backend.free(this.expertIds.buffer);
    backend.free(this.places.buffer);
    this.step.free();
  }
}

function viewOf(whole: Tensor, name: TensorName, rows: number, cols?: number): Tensor {
  const width = cols ?? whole.cols;
  if (rows * width > whole.rows * whole.cols) {
    throw new RangeError(
      `cannot view ${name} as ${rows} rows of ${width}: it holds ${whole.rows}x${whole.cols}`,
    );
  }
  return { buffer: whole.buffer, offset: whole.offset, rows, cols: width };
}

/** x: residual stream; parked: that of rows that wait for an expert; h: normed input; q, k, v, a: attention; f: hidden layer of dense blocks. */
const TENSORS = [
  "x",
  "parked",
  "h",
  "q",
  "k",
  "v",
  "a",
  "f",
  "expertOut",
  "expertWeights",
] as const;
export type TensorName = typeof TENSORS[number];

/** What is read again behind a wait for experts. */
const LASTING = ["x", "h", "expertOut", "expertWeights"] as const;
type LastingName = typeof LASTING[number];

function workspaceSizes(spec: ModelSpec, s: WorkspaceShape): Record<TensorName, [number, number]> {
  const model: [number, number] = [s.maxRows, spec.dModel];
  const attention: [number, number] = [s.maxRows, spec.attentionWidth];
  return {
    x: model,
    parked: model,
    h: model,
    q: attention,
    k: attention,
    v: attention,
    a: attention,
    f: [s.maxRows, spec.maxHidden],
    expertOut: [s.maxRows * s.topK, spec.dModel],
    expertWeights: [s.maxRows, s.topK],
  };
}

/** Device bytes of a row in the widest tensor of a workspace: a kernel must see all its rows at once. */
export function widestRowBytes(spec: ModelSpec, shape: WorkspaceShape): number {
  const sizes = Object.values(workspaceSizes(spec, shape));
  return Math.max(...sizes.map(([rows, cols]) => rows * cols * 4 / shape.maxRows));
}

/** Device bytes of a workspace, for planning; backend scratch comes on top. */
export function workspaceBytes(spec: ModelSpec, shape: WorkspaceShape): number {
  const sizes = workspaceSizes(spec, shape);
  const tensors = [...TENSORS, ...LASTING].reduce((sum, name) => {
    const [rows, cols] = sizes[name];
    return sum + rows * cols * 4;
  }, 0);
  return tensors + shape.maxRows * 2 * shape.topK * 4 + stepBytes(spec, shape);
}
