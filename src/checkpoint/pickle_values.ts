/** What a pickle may name and call, and what comes of it: storages, tensors, dicts. Nothing else is ever made. */
import { type DType, DTYPE_BYTES } from "./contract.ts";
import { quote } from "./header_text.ts";

/** What a pickle asked for that is not given, or where it breaks off; the caller adds the file. */
export class PickleError extends Error {}

/** Raised where bytes end before the pickle does: with more of the file it may go on. */
export class PickleEndError extends PickleError {}

/** A storage named by the pickle; its bytes lie elsewhere in the file. */
export class Storage {
  constructor(readonly key: string, readonly dtype: DType, readonly elements: number) {}
}

/** A view into a storage, in elements. */
export class Tensor {
  constructor(
    readonly storage: Storage,
    readonly offset: number,
    readonly shape: readonly number[],
    readonly strides: readonly number[],
  ) {}
}

/** A class or function that a pickle names; only those of ALLOWED are ever made. */
class Global {
  constructor(readonly name: string) {}
}

const STORAGES: Record<string, DType> = {
  FloatStorage: "F32",
  HalfStorage: "F16",
  BFloat16Storage: "BF16",
  DoubleStorage: "F64",
  LongStorage: "I64",
  IntStorage: "I32",
  ShortStorage: "I16",
  CharStorage: "I8",
  ByteStorage: "U8",
  BoolStorage: "BOOL",
};

const REBUILD = ["_rebuild_tensor", "_rebuild_tensor_v2"].map((n) => `torch._utils.${n}`);
const PARAMETER = "torch._utils._rebuild_parameter";
const DICT = "collections.OrderedDict";
const SIZE = "torch.Size";
const ALLOWED = new Set([
  ...REBUILD,
  PARAMETER,
  DICT,
  SIZE,
  ...Object.keys(STORAGES).flatMap((s) => [`torch.${s}`, `torch.cuda.${s}`]),
]);

const MAX_DIMENSIONS = 8;

/** A class or function by its name. Throws PickleError for all that do not rebuild tensors. */
export function namedGlobal(module: string, name: string): Global {
  const full = `${module}.${name}`;
  if (ALLOWED.has(full)) return new Global(full);
  throw new PickleError(`it asks for ${quote(full)}, which is none of what rebuilds tensors`);
}

/** ("storage", torch.FloatStorage, key, location, elements), in legacy files with None behind. */
export function namedStorage(id: unknown): Storage {
  const [kind, type, key, , elements, view] = Array.isArray(id) ? id : [];
  const dtype = type instanceof Global
    ? STORAGES[type.name.slice(type.name.lastIndexOf(".") + 1)]
    : undefined;
  const right = kind === "storage" && dtype !== undefined && typeof key === "string" &&
    isSize(elements);
  if (!right) throw new PickleError("it names a storage in an unknown way");
  if (view !== undefined && view !== null) {
    throw new PickleError(`storage ${quote(key)} is a view of another: save the checkpoint again`);
  }
  if (!Number.isSafeInteger(elements * DTYPE_BYTES[dtype])) {
    throw new PickleError(`storage ${quote(key)} has more than 2^53 bytes`);
  }
  return new Storage(key, dtype, elements);
}

/** The four functions that a state dict calls, done here. */
export function callGlobal(callable: unknown, given: unknown): unknown {
  if (!(callable instanceof Global) || !Array.isArray(given)) {
    throw new PickleError("it calls what is no function");
  }
  const { name } = callable;
  if (name === DICT && given.length === 0) return new Map();
  if (name === SIZE && Array.isArray(given[0])) return given[0];
  if (name === PARAMETER && given[0] instanceof Tensor) return given[0];
  if (REBUILD.includes(name)) return rebuild(given);
  throw new PickleError(`it calls ${name} with other arguments than torch does`);
}

function rebuild(given: unknown[]): Tensor {
  const [from, offset, shape, strides] = given;
  const list = (v: unknown): v is number[] =>
    Array.isArray(v) && v.length <= MAX_DIMENSIONS && v.every(isSize);
  if (
    !(from instanceof Storage) || !isSize(offset) || !list(shape) || !list(strides) ||
    shape.length !== strides.length
  ) throw new PickleError("a tensor has no storage, shape or strides that make sense");
  if (shape.includes(0)) throw new PickleError(`a tensor of ${shape} has a dimension of 0`);
  let last = offset;
  shape.forEach((d, i) => last += (d - 1) * strides[i]!);
  if (!Number.isSafeInteger(last) || last >= from.elements) {
    throw new PickleError(
      `a tensor of ${shape} at ${offset} with strides ${strides} reaches beyond its storage ` +
        `${quote(from.key)} of ${from.elements} elements`,
    );
  }
  if (!Number.isSafeInteger(shape.reduce((n, d) => n * d, 8))) {
    throw new PickleError(`a tensor of ${shape} has more than 2^53 bytes`);
  }
  return new Tensor(from, offset, [...shape], [...strides]);
}

function isSize(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}

/** A value in few words, for messages. */
export function said(value: unknown): string {
  if (typeof value === "string") return quote(value);
  if (typeof value === "number" || typeof value === "boolean" || value === null) {
    return String(value);
  }
  if (value instanceof Tensor) return "a tensor";
  if (value instanceof Map) return "a dict";
  if (Array.isArray(value)) return "a list";
  return "something else";
}
