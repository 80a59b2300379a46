/** What a checkpoint is to the packer: named tensors read by rows, and a few texts. */
import type { NamedTemplate } from "../text/chat_template.ts";

/** Element types of checkpoints; weights are read from F32, F16 and BF16. */
export const DTYPE_BYTES = {
  F64: 8,
  F32: 4,
  F16: 2,
  BF16: 2,
  F8_E4M3: 1,
  F8_E5M2: 1,
  I64: 8,
  I32: 4,
  I16: 2,
  I8: 1,
  U64: 8,
  U32: 4,
  U16: 2,
  U8: 1,
  BOOL: 1,
} as const;

export type DType = keyof typeof DTYPE_BYTES;

export interface TensorInfo {
  /** Canonical name, without a leading "model.". */
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  /** Bytes of the tensor's elements, counted from the start of the file, or of the data of `entry`. */
  readonly byteRange: { readonly offset: number; readonly length: number };
  readonly file: string;
  /** The zip entry that holds it, in files that torch wrote. */
  readonly entry?: ZipEntry;
  /** Elements from one index to the next of each dimension; left out where rows lie one behind the other. */
  readonly strides?: readonly number[];
}

/** An entry of a zip file: its name, and where its local header is. */
export interface ZipEntry {
  readonly name: string;
  readonly header: number;
}

/** How rows are read: `into` is where to put them (as many elements at its start), to spare an allocation. */
export interface ReadOptions<T> {
  readonly into?: T | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** A checkpoint's weights. Whoever opened it closes it. */
export interface TensorSource {
  /** Where it is, for messages; without secrets. */
  readonly origin: string;
  /** What tells one version of its files from another (sizes, times, ETags); for resuming, never for output. */
  readonly identity: string;
  /** By canonical name, in the files' order; of what is made of several, all bytes that it is read from are counted. */
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  /**
   * Rows [rowStart, rowStart + rowCount) as f32 [rowCount, cols]; a vector is one row.
   *
   * @throws MoqeError `corrupt` or `unavailable` as its files do; `unsupported` for a dtype that is no weight
   */
  readRows(
    name: string,
    rowStart: number,
    rowCount: number,
    options?: ReadOptions<Float32Array<ArrayBuffer>>,
  ): Promise<Float32Array<ArrayBuffer>>;
  close(): void;
}

/** Tensors as files have them: some are bytes that stand for weights. */
export interface StoredTensors extends TensorSource {
  /** As `readRows`, of a U8 tensor, its elements as they are. Throws MoqeError `unsupported` for another dtype. */
  readBytes(
    name: string,
    rowStart: number,
    rowCount: number,
    options?: ReadOptions<Uint8Array<ArrayBuffer>>,
  ): Promise<Uint8Array<ArrayBuffer>>;
}

/** The texts of a checkpoint, as they were. */
export interface CheckpointTexts {
  /** config.json, parsed. */
  readonly config: Record<string, unknown>;
  /** generation_config.json, parsed; {} where there is none. */
  readonly generation: Record<string, unknown>;
  /** tokenizer.json as bytes. */
  readonly tokenizer: Uint8Array<ArrayBuffer>;
  /** tokenizer_config.json, parsed and without its chat template; {} where there is none. */
  readonly tokenizerConfig: Record<string, unknown>;
  /** Of tokenizer_config.json or chat_template.jinja; none where there is none. */
  readonly chatTemplates: readonly NamedTemplate[];
}

/** What a model hub says of a repository. */
export interface ModelCard {
  /** "ORG/NAME". */
  readonly repository: string;
  /** The branch, tag or commit that was asked for. */
  readonly revision: string;
  /** The commit that every file is read at. */
  readonly commit: string;
  readonly licence: { readonly id: string; readonly text?: string } | undefined;
  /** Languages as the card names them: mostly ISO 639 codes. */
  readonly languages: readonly string[];
  /** Repositories that the model was made from. */
  readonly basedOn: readonly string[];
}

/** A checkpoint opened whole. */
export interface Checkpoint {
  readonly texts: CheckpointTexts;
  readonly weights: StoredTensors;
  /** Where it comes from a hub. */
  readonly card?: ModelCard | undefined;
}

/** How a folder is opened; what is here is of use for hubs alone. */
export interface FolderOptions {
  readonly signal?: AbortSignal | undefined;
  /** Told of each pause that a hub asks for, as "huggingface.co asks to wait 40 s". */
  readonly onWait?: ((text: string) => void) | undefined;
  /** The commit to read, in place of what the address's revision is now. */
  readonly commit?: string | undefined;
}

/** A folder of files, local or behind HTTP(S), read by ranges. */
export interface Folder {
  readonly origin: string;
  readonly card?: ModelCard | undefined;
  /** Size and version of a file, or undefined where there is none. */
  stat(file: string): Promise<{ bytes: number; version: string } | undefined>;
  /** Fills `into` with the bytes from `offset` on, or throws MoqeError `corrupt` or `unavailable`. */
  read(
    file: string,
    offset: number,
    into: Uint8Array<ArrayBuffer>,
    signal?: AbortSignal,
  ): Promise<void>;
  close(): void;
}

/** Elements of a tensor as rows and columns: a vector is one row, a scalar one element. */
export function asMatrix(shape: readonly number[]): { rows: number; cols: number } {
  const cols = shape[shape.length - 1] ?? 1;
  let rows = 1;
  for (let i = 0; i < shape.length - 1; i++) rows *= shape[i]!;
  return { rows, cols };
}
