/**
 * A reader of pickles that can rebuild tensors and nothing else. A pickle is a program; this runs the few of its
 * instructions that a saved state dict needs, calls nothing, and names whatever else it is asked for.
 */
import {
  callGlobal,
  namedGlobal,
  namedStorage,
  PickleEndError,
  PickleError,
  said,
} from "./pickle_values.ts";

class Mark {}

const MAX_STEPS = 20_000_000;

/** What an instruction's byte means to us; all others are refused by their number. */
const OP = {
  MARK: 0x28,
  STOP: 0x2e,
  POP: 0x30,
  POP_MARK: 0x31,
  BINFLOAT: 0x47,
  BININT: 0x4a,
  BININT1: 0x4b,
  BININT2: 0x4d,
  NONE: 0x4e,
  BINPERSID: 0x51,
  REDUCE: 0x52,
  BINUNICODE: 0x58,
  EMPTY_LIST: 0x5d,
  APPEND: 0x61,
  BUILD: 0x62,
  GLOBAL: 0x63,
  APPENDS: 0x65,
  BINGET: 0x68,
  LONG_BINGET: 0x6a,
  BINPUT: 0x71,
  LONG_BINPUT: 0x72,
  SETITEM: 0x73,
  TUPLE: 0x74,
  SETITEMS: 0x75,
  EMPTY_TUPLE: 0x29,
  EMPTY_DICT: 0x7d,
  PROTO: 0x80,
  TUPLE1: 0x85,
  TUPLE2: 0x86,
  TUPLE3: 0x87,
  NEWTRUE: 0x88,
  NEWFALSE: 0x89,
  LONG1: 0x8a,
  SHORT_BINUNICODE: 0x8c,
  STACK_GLOBAL: 0x93,
  MEMOIZE: 0x94,
  FRAME: 0x95,
} as const;

/**
 * Runs one pickle from `at` on. Answers its value (strings, numbers, arrays, Maps, Tensors) and where it ends.
 * Throws PickleError that names what it refused.
 */
export function readPickle(
  bytes: Uint8Array<ArrayBuffer>,
  at = 0,
): { value: unknown; end: number } {
  const machine = new Machine(bytes, at);
  for (let steps = 0; steps < MAX_STEPS; steps++) {
    if (machine.step()) return { value: machine.result(), end: machine.at };
  }
  throw new PickleError(`it has more than ${MAX_STEPS} instructions`);
}

class Machine {
  readonly #view: DataView;
  readonly #decoder = new TextDecoder("utf-8", { fatal: true });
  readonly #stack: unknown[] = [];
  readonly #memo = new Map<number, unknown>();

  constructor(readonly bytes: Uint8Array<ArrayBuffer>, public at: number) {
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** One instruction; true where it was the last. */
  step(): boolean {
    const op = this.#view.getUint8(this.#take(1));
    const stack = this.#stack;
    switch (op) {
      case OP.STOP:
        return true;
      case OP.PROTO: {
        const version = this.#byte();
        if (version < 2 || version > 5) {
          throw new PickleError(`it has protocol ${version}, not 2 to 5`);
        }
        break;
      }
      case OP.FRAME:
        this.#take(8);
        break;
      case OP.MARK:
        stack.push(new Mark());
        break;
      case OP.POP:
        this.#pop();
        break;
      case OP.POP_MARK:
        this.#popToMark();
        break;
      case OP.NONE:
        stack.push(null);
        break;
      case OP.NEWTRUE:
      case OP.NEWFALSE:
        stack.push(op === OP.NEWTRUE);
        break;
      case OP.BINFLOAT:
        stack.push(this.#view.getFloat64(this.#take(8)));
        break;
      case OP.BININT:
        stack.push(this.#view.getInt32(this.#take(4), true));
        break;
      case OP.BININT1:
        stack.push(this.#byte());
        break;
      case OP.BININT2:
        stack.push(this.#view.getUint16(this.#take(2), true));
        break;
      case OP.LONG1:
        stack.push(this.#long(this.#byte()));
        break;
      case OP.BINUNICODE:
        stack.push(this.#text(this.#u32()));
        break;
      case OP.SHORT_BINUNICODE:
        stack.push(this.#text(this.#byte()));
        break;
      case OP.GLOBAL:
        stack.push(namedGlobal(this.#line(), this.#line()));
        break;
      case OP.STACK_GLOBAL: {
        const name = this.#pop(), module = this.#pop();
        stack.push(namedGlobal(String(module), String(name)));
        break;
      }
      case OP.BINPUT:
        this.#memo.set(this.#byte(), this.#top());
        break;
      case OP.LONG_BINPUT:
        this.#memo.set(this.#u32(), this.#top());
        break;
      case OP.MEMOIZE:
        this.#memo.set(this.#memo.size, this.#top());
        break;
      case OP.BINGET:
        stack.push(this.#remembered(this.#byte()));
        break;
      case OP.LONG_BINGET:
        stack.push(this.#remembered(this.#u32()));
        break;
      default:
        this.#build(op);
    }
    return false;
  }

  /** Instructions that make or fill something. */
  #build(op: number): void {
    const stack = this.#stack;
    switch (op) {
      case OP.EMPTY_TUPLE:
      case OP.EMPTY_LIST:
        return void stack.push([]);
      case OP.EMPTY_DICT:
        return void stack.push(new Map());
      case OP.TUPLE:
        return void stack.push(this.#popToMark());
      case OP.TUPLE1:
      case OP.TUPLE2:
      case OP.TUPLE3: {
        const count = op - OP.TUPLE1 + 1;
        if (stack.length < count) throw new PickleError("its stack is empty");
        return void stack.push(stack.splice(stack.length - count));
      }
      case OP.APPEND:
      case OP.APPENDS: {
        const items = op === OP.APPEND ? [this.#pop()] : this.#popToMark();
        const list = this.#top();
        if (!Array.isArray(list)) throw new PickleError("it appends to what is no list");
        for (const item of items) list.push(item);
        return;
      }
      case OP.SETITEM:
      case OP.SETITEMS: {
        const items = op === OP.SETITEM ? [this.#pop(), this.#pop()].reverse() : this.#popToMark();
        return this.#setItems(items);
      }
      case OP.BINPERSID:
        return void stack.push(namedStorage(this.#pop()));
      case OP.REDUCE: {
        const given = this.#pop(), callable = this.#pop();
        return void stack.push(callGlobal(callable, given));
      }
      case OP.BUILD:
        this.#pop();
        // torch gives state dicts an attribute with their modules' versions; it says nothing about weights.
        if (!(this.#top() instanceof Map)) throw new PickleError("it sets the state of an object");
        return;
      default:
        throw new PickleError(
          `it has the instruction 0x${op.toString(16).padStart(2, "0")}, which no state dict needs`,
        );
    }
  }

  #setItems(items: unknown[]): void {
    const dict = this.#top();
    if (!(dict instanceof Map) || items.length % 2 !== 0) {
      throw new PickleError("it sets an item of what is no dict");
    }
    for (let i = 0; i < items.length; i += 2) {
      if (dict.has(items[i])) throw new PickleError(`${said(items[i])} is there twice`);
      dict.set(items[i], items[i + 1]);
    }
  }

  result(): unknown {
    const value = this.#pop();
    if (this.#stack.length > 0) throw new PickleError("it leaves more than one value");
    return value;
  }

  #take(count: number): number {
    const at = this.at;
    if (at + count > this.bytes.length) throw new PickleEndError("it ends too early");
    this.at += count;
    return at;
  }

  #byte(): number {
    return this.#view.getUint8(this.#take(1));
  }

  #u32(): number {
    return this.#view.getUint32(this.#take(4), true);
  }

  #text(length: number): string {
    const at = this.#take(length);
    try {
      return this.#decoder.decode(this.bytes.subarray(at, at + length));
    } catch {
      throw new PickleError("a text is not UTF-8");
    }
  }

  /** Up to the next line's end, as GLOBAL has its names. */
  #line(): string {
    const end = this.bytes.indexOf(10, this.at);
    if (end < 0) throw new PickleEndError("it ends too early");
    const text = this.#text(end - this.at);
    this.#take(1);
    return text;
  }

  /** A bigint where a number would not be exact; no size of ours is. */
  #long(length: number): number | bigint {
    const at = this.#take(length);
    let value = 0n;
    for (let i = length - 1; i >= 0; i--) value = value << 8n | BigInt(this.bytes[at + i]!);
    value = BigInt.asIntN(8 * length, value);
    return Number.isSafeInteger(Number(value)) ? Number(value) : value;
  }

  #top(): unknown {
    if (this.#stack.length === 0) throw new PickleError("its stack is empty");
    return this.#stack.at(-1);
  }

  #pop(): unknown {
    const value = this.#top();
    this.#stack.pop();
    return value;
  }

  #popToMark(): unknown[] {
    const at = this.#stack.findLastIndex((v) => v instanceof Mark);
    if (at < 0) throw new PickleError("a mark is missing");
    return this.#stack.splice(at).slice(1);
  }

  #remembered(index: number): unknown {
    if (!this.#memo.has(index)) throw new PickleError("it recalls what it never stored");
    return this.#memo.get(index);
  }
}
