/**
 * sentencepiece's precompiled character map, as the `Precompiled` normalizer of tokenizer.json carries it.
 *
 * @huggingface/tokenizers 0.2.0 stands in NFKC and a few regular expressions for it, which differs on joiners,
 * zero-width spaces, NUL and some clusters; this reads the map itself. The rules, odd ones included, are those of
 * the Rust library (tokenizers/src/normalizers/precompiled.rs and spm_precompiled).
 */
import { MoqeError } from "../base/errors.ts";

/** A grapheme cluster is looked up whole only below this many UTF-8 bytes. */
const WHOLE_CLUSTER_BYTES = 6;

/** The character map of a `Precompiled` normalizer: a double-array trie from text to replacement. */
export class CharacterMap {
  /** Double array of a trie over UTF-8 bytes (darts-clone's unit format). */
  readonly #units: Uint32Array;
  /** Replacements, each ended by a zero byte. */
  readonly #texts: Uint8Array;
  readonly #replacements = new Map<number, string>();
  readonly #clusters = new Intl.Segmenter("und", { granularity: "grapheme" });
  readonly #utf8 = new TextEncoder();
  readonly #scratch = new Uint8Array(WHOLE_CLUSTER_BYTES);

  /** @param base64 `precompiled_charsmap`: u32 size of the trie in bytes, the trie, the replacements. */
  constructor(base64: string) {
    const bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
    const size = bytes.length < 4 ? -1 : new DataView(bytes.buffer).getUint32(0, true);
    if (size < 4 || size % 4 !== 0 || size + 4 > bytes.length) {
      throw new MoqeError("corrupt", {
        action: "read the tokenizer's precompiled character map",
        rule: "its trie must lie within it, in whole 4-byte units",
        observed: `a trie of ${size} bytes in ${bytes.length}`,
        remedy: "fetch tokenizer.json again",
      });
    }
    const view = new DataView(bytes.buffer, 4, size);
    this.#units = Uint32Array.from({ length: size / 4 }, (_, i) => view.getUint32(i * 4, true));
    this.#texts = bytes.subarray(4 + size);
  }

  get bytes(): number {
    return this.#units.byteLength + this.#texts.byteLength;
  }

  normalize(text: string): string {
    // One code unit is one cluster in plain ASCII, apart from CR LF.
    if (/^[\x20-\x7e]*$/.test(text)) return this.#characters(text);
    let out = "";
    for (const { segment } of this.#clusters.segment(text)) {
      out += this.#lookup(segment) ?? this.#characters(segment);
    }
    return out;
  }

  #characters(text: string): string {
    let out = "";
    for (const character of text) out += this.#lookup(character) ?? character;
    return out;
  }

  /**
   * The replacement of `chunk`, or undefined where it has none or is too long to be looked up.
   * It is that of the *shortest* mapped prefix and stands for the whole chunk: so the Rust library does it.
   */
  #lookup(chunk: string): string | undefined {
    const { read, written } = this.#utf8.encodeInto(chunk, this.#scratch);
    if (read < chunk.length || written >= WHOLE_CLUSTER_BYTES) return undefined;
    const units = this.#units;
    let node = offsetOf(units[0]!);
    for (let i = 0; i < written; i++) {
      const byte = this.#scratch[i]!;
      if (byte === 0) return undefined;
      node ^= byte;
      const unit = units[node];
      if (unit === undefined || ((unit & 0x800000ff) >>> 0) !== byte) return undefined;
      node ^= offsetOf(unit);
      if (((unit >>> 8) & 1) === 1) return this.#replacement((units[node] ?? 0) & 0x7fffffff);
    }
    return undefined;
  }

  #replacement(start: number): string {
    let text = this.#replacements.get(start);
    if (text === undefined) {
      const end = this.#texts.indexOf(0, start);
      text = new TextDecoder("utf-8", { ignoreBOM: true })
        .decode(this.#texts.subarray(start, end < 0 ? undefined : end));
      this.#replacements.set(start, text); // bounded by the map's own entries
    }
    return text;
  }
}

/** Where a unit's children lie, relative to it. */
function offsetOf(unit: number): number {
  return (unit >>> 10) << ((unit & 0x200) >>> 6);
}
