/** The activations of one forward pass: taken once at the largest size, seen through views of fewer rows. */
import type { Backend, DeviceRange, Tensor } from "../backend/contract.ts";
import { kvWidth } from "./kv.ts";
import { Rotary, rotaryBytes } from "./rotary.ts";
import { indexBytes, RowIndices } from "./row_indices.ts";
import { attentionsOf, layersOf, type ModelSpec } from "./spec.ts";
import { StepBuffers, stepBytes, type StepShape } from "./step.ts";

/** The largest call that will come. */
export interface WorkspaceShape extends StepShape {
  readonly topK: number;
}

/** What blocks of one pass write to. */
export interface Views {
  /** The first `rows` rows of a tensor, read as `cols` columns where that is narrower than it was made. */
  view(name: TensorName, rows: number, cols?: number): Tensor;
  /** i32 [rows * topK]: experts chosen in waves; their places in a decoder step. */
  readonly expertIds: DeviceRange;
  readonly places: DeviceRange;
  /** Of the rows of the pass. */
  readonly rotary: Rotary;
}

/** Views of a pass over given tokens (a source, a prefix), and room for its rows' indices. */
export interface PrefixViews extends Views {
  readonly indices: RowIndices;
}

/** All device memory that a pass writes to, besides K/V pages and backend scratch. */
export class Workspace implements Views {
  readonly maxRows: number;
  readonly expertIds: DeviceRange;
  readonly places: DeviceRange;
  readonly rotary: Rotary;
  readonly step: StepBuffers;
  /** What must outlast a wait for experts is a prefix pass's own, so that decoder steps may run meanwhile. */
  readonly prefix: PrefixViews;
  readonly #tensors: Record<TensorName, Tensor>;
  readonly #lasting: Record<LastingName, Tensor>;

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
    this.#lasting = make(LASTING, "prefix ");
    const ids = (label: string, n: number): DeviceRange => ({
      buffer: backend.alloc(label, n * 4, "activations"),
      offset: 0,
    });
    this.expertIds = ids("expert ids", shape.maxRows * shape.topK);
    this.places = ids("places", shape.maxRows * shape.topK);
    this.step = new StepBuffers(backend, spec, shape);
    this.rotary = new Rotary(backend, spec, shape.maxRows);
    const tensors = { ...this.#tensors, ...this.#lasting };
    const { expertIds, places } = this;
    this.prefix = {
      expertIds,
      places,
      rotary: new Rotary(backend, spec, shape.maxRows),
      indices: new RowIndices(backend, shape),
      view: (name, rows, cols) => viewOf(tensors[name], name, rows, cols),
    };
  }

  view(name: TensorName, rows: number, cols?: number): Tensor {
    return viewOf(this.#tensors[name], name, rows, cols);
  }

  /** Gives everything back. */
  free(backend: Backend): void {
    for (const t of Object.values(this.#tensors)) backend.free(t.buffer);
    for (const t of Object.values(this.#lasting)) backend.free(t.buffer);
    backend.free(this.expertIds.buffer);
    backend.free(this.places.buffer);
    for (const part of [this.step, this.rotary, this.prefix.rotary, this.prefix.indices]) {
      part.free();
    }
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

/**
 * x: residual stream; parked: that of rows that wait for an expert; h: normed input; q, k, v, a: attention; f: hidden
 * layer of dense blocks; gated: what their gate leaves of it.
 */
const TENSORS = [
  "x",
  "parked",
  "h",
  "q",
  "k",
  "v",
  "a",
  "f",
  "gated",
  "expertOut",
  "expertWeights",
] as const;
export type TensorName = typeof TENSORS[number];

/** What is read again behind a wait for experts. */
const LASTING = ["x", "h", "expertOut", "expertWeights"] as const;
type LastingName = typeof LASTING[number];

function workspaceSizes(spec: ModelSpec, s: WorkspaceShape): Record<TensorName, [number, number]> {
  const model: [number, number] = [s.maxRows, spec.dModel];
  const blocks = attentionsOf(spec);
  const query: [number, number] = [
    s.maxRows,
    Math.max(...blocks.map((a) => a.heads * a.headDim)),
  ];
  const key: [number, number] = [s.maxRows, Math.max(...blocks.map(kvWidth))];
  return {
    x: model,
    parked: model,
    h: model,
    q: query,
    k: key,
    v: key,
    a: query,
    f: [s.maxRows, spec.maxHidden],
    gated: [s.maxRows, hasDenseGate(spec) ? spec.maxHidden / 2 : 1],
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
  return tensors + shape.maxRows * 2 * shape.topK * 4 + stepBytes(spec, shape) +
    indexBytes(shape) + 2 * rotaryBytes(spec, shape.maxRows);
}

function hasDenseGate(spec: ModelSpec): boolean {
  return layersOf(spec).some(({ feedForward: f }) =>
    f.kind === "dense" && f.activation !== "none" && f.activation !== "relu"
  );
}
