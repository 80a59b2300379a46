/**
 * Byte pair encoding as the Python (Rust) library has it, in little memory: merges are pairs of ids in typed arrays.
 *
 * @huggingface/tokenizers 0.2.0 keeps each merge as a string of JSON: 50 MB for gpt-oss' 446,000. It also makes one
 * `<unk>` of several in different words.
 */
import type { TokenModel, Vocabulary } from "./token_model.ts";

/** What a tokenizer.json says of its BPE model beside vocabulary and merges. */
export interface BpeOptions {
  unk_token?: string | null;
  /** One `<unk>` for a run of unknown characters. */
  fuse_unk?: boolean;
  /** Unknown characters become tokens of their bytes. */
  byte_fallback?: boolean;
  /** A word that is a token is that token, whatever merges would make of it. */
  ignore_merges?: boolean;
}

/** Pairs of tokens that become one, in the order in which they are merged. */
export class Merges {
  readonly #left: Int32Array;
  readonly #right: Int32Array;
  readonly #made: Int32Array;
  /** Open addressing: a pair's rank + 1, 0 where free. */
  readonly #table: Int32Array;
  readonly #mask: number;
  count = 0;

  constructor(most: number) {
    [this.#left, this.#right, this.#made] = [0, 0, 0].map(() => new Int32Array(most)) as [
      Int32Array,
      Int32Array,
      Int32Array,
    ];
    const slots = slotsFor(most);
    this.#table = new Int32Array(slots);
    this.#mask = slots - 1;
  }

  /** Bytes that the arrays of `most` pairs take. */
  static bytesFor(most: number): number {
    return 4 * (3 * most + slotsFor(most));
  }

  /** Bytes that the arrays take. */
  get bytes(): number {
    return Merges.bytesFor(this.#left.length);
  }

  /** Adds the next pair. A pair that is there keeps its first rank. */
  add(left: number, right: number, made: number): void {
    const slot = this.#slot(left, right);
    if (this.#table[slot] !== 0) return;
    this.#left[this.count] = left;
    this.#right[this.count] = right;
    this.#made[this.count] = made;
    this.#table[slot] = ++this.count;
  }

  /** The rank of a pair, or -1. */
  rank(left: number, right: number): number {
    return this.#table[this.#slot(left, right)]! - 1;
  }

  /** The id that the pair of a rank becomes. */
  made(rank: number): number {
    return this.#made[rank]!;
  }

  #slot(left: number, right: number): number {
    let slot = (Math.imul(left, 0x9e3779b1) ^ Math.imul(right, 0x85ebca77)) >>> 0;
    slot = (slot ^ (slot >>> 15)) & this.#mask;
    for (;; slot = (slot + 1) & this.#mask) {
      const rank = this.#table[slot]! - 1;
      if (rank < 0 || (this.#left[rank] === left && this.#right[rank] === right)) return slot;
    }
  }
}

function slotsFor(most: number): number {
  let slots = 16;
  while (slots < most * 1.5) slots *= 2;
  return slots;
}

/** A BPE model. */
export class Bpe implements TokenModel {
  readonly unkId: number | undefined;
  readonly #byteIds: (number | undefined)[];

  constructor(
    readonly vocabulary: Vocabulary,
    private readonly merges: Merges,
    private readonly options: BpeOptions,
  ) {
    this.unkId = vocabulary.id(options.unk_token ?? "");
    this.#byteIds = Array.from(
      { length: options.byte_fallback ? 256 : 0 },
      (_, byte) => vocabulary.id(`<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`),
    );
  }

  get hostBytes(): number {
    return this.vocabulary.hostBytes + this.merges.bytes;
  }

  ids(words: readonly string[]): number[] {
    const ids: number[] = [];
    for (const word of words) {
      const whole = this.options.ignore_merges ? this.vocabulary.id(word) : undefined;
      if (whole !== undefined) ids.push(whole);
      else for (const id of merged(this.#characters(word), this.merges)) ids.push(id);
    }
    return ids;
  }

  /** A word's characters as ids, before any merge. */
  #characters(word: string): number[] {
    const ids: number[] = [];
    let isUnknown = false;
    for (const character of word) {
      const id = this.vocabulary.id(character);
      const bytes = id === undefined ? this.#bytesOf(character) : [id];
      if (bytes !== undefined) ids.push(...bytes);
      else if (this.unkId !== undefined && !(isUnknown && this.options.fuse_unk)) {
        ids.push(this.unkId);
      }
      isUnknown = bytes === undefined;
    }
    return ids;
  }

  /** The ids of a character's bytes, if there is one for each. */
  #bytesOf(character: string): number[] | undefined {
    if (this.#byteIds.length === 0) return undefined;
    const ids = [...utf8.encode(character)].map((byte) => this.#byteIds[byte]);
    return ids.every((id) => id !== undefined) ? ids : undefined;
  }
}

const utf8 = new TextEncoder();

/** Ranks and places share a number: less means merged earlier, and of equal ranks the leftmost. */
const PLACES = 2 ** 32;

/** Merges neighbours, the pair of the lowest rank first, until none is left: n log n in the characters. */
function merged(ids: number[], merges: Merges): number[] {
  const count = ids.length;
  if (count < 2) return ids;
  const next = Int32Array.from(ids, (_, i) => i + 1 < count ? i + 1 : -1);
  const before = Int32Array.from(ids, (_, i) => i - 1);
  const heap: number[] = [];
  const offer = (at: number) => {
    if (at < 0 || next[at]! < 0) return;
    const rank = merges.rank(ids[at]!, ids[next[at]!]!);
    if (rank >= 0) push(heap, rank * PLACES + at);
  };
  for (let at = 0; at + 1 < count; at++) offer(at);
  while (heap.length > 0) {
    const first = pop(heap), at = first % PLACES, rank = (first - at) / PLACES;
    // One of the two has been merged with another since.
    if (ids[at]! < 0 || next[at]! < 0 || merges.rank(ids[at]!, ids[next[at]!]!) !== rank) continue;
    const right = next[at]!;
    ids[at] = merges.made(rank);
    ids[right] = -1;
    next[at] = next[right]!;
    if (next[at]! >= 0) before[next[at]!] = at;
    offer(before[at]!);
    offer(at);
  }
  return ids.filter((id) => id >= 0);
}

/** Adds to a binary heap whose least number is first. */
function push(heap: number[], value: number): void {
  let at = heap.push(value) - 1;
  for (let up = (at - 1) >> 1; at > 0 && heap[up]! > value; up = (at - 1) >> 1) {
    heap[at] = heap[up]!;
    at = up;
  }
  heap[at] = value;
}

/** Takes the least number of a heap that has one. */
function pop(heap: number[]): number {
  const least = heap[0]!, value = heap.pop()!;
  if (heap.length === 0) return least;
  let at = 0;
  for (let down = 1; down < heap.length; down = 2 * at + 1) {
    if (down + 1 < heap.length && heap[down + 1]! < heap[down]!) down++;
    if (heap[down]! >= value) break;
    heap[at] = heap[down]!;
    at = down;
  }
  heap[at] = value;
  return least;
}
