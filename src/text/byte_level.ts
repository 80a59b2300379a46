/** Byte-level tokens: every byte is written as one visible character, so that a vocabulary of texts covers all bytes. */

/** Bytes that stand for themselves: visible characters of Latin-1. The others get U+0100 and on, in order. */
const isVisible = (byte: number) =>
  (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xff && byte !== 0xad);

const CHARACTERS: string[] = [];
const BYTES = new Map<string, number>();
for (let byte = 0, next = 0x100; byte < 256; byte++) {
  const character = String.fromCharCode(isVisible(byte) ? byte : next++);
  CHARACTERS.push(character);
  BYTES.set(character, byte);
}

const utf8 = new TextEncoder();

/** A text's UTF-8 bytes, each as its character. */
export function toByteLevel(text: string): string {
  let out = "";
  for (const byte of utf8.encode(text)) out += CHARACTERS[byte]!;
  return out;
}

/** The bytes of a token: those that its characters stand for, or its own UTF-8 where one stands for none. */
export function bytesOf(token: string): Uint8Array {
  const bytes = new Uint8Array(token.length);
  for (let i = 0; i < token.length; i++) {
    const byte = BYTES.get(token[i]!);
    if (byte === undefined) return utf8.encode(token);
    bytes[i] = byte;
  }
  return bytes;
}

/** Decodes the bytes of tokens one after the other: what is no UTF-8 becomes U+FFFD once it is certain to be none. */
export class ByteLevelText {
  readonly #decoder = new TextDecoder("utf-8", { ignoreBOM: true });

  /** Takes a token; returns the characters that it completed. */
  push(token: string): string {
    return this.#decoder.decode(bytesOf(token), { stream: true });
  }

  /** Returns U+FFFD for a character that was begun and never completed. */
  end(): string {
    return this.#decoder.decode();
  }
}
