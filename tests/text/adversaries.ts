/** Translators that are wrong in every way a model can be: whatever they answer, structure must hold. */
import type { TranslateTexts } from "../../src/text/documents/contract.ts";

/** Reproducible numbers in [0, 1): mulberry32. */
export function random(seed: number): () => number {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** One of `items`. */
export function pick<T>(next: () => number, items: readonly T[]): T {
  return items[Math.floor(next() * items.length)]!;
}

const SYNTAX =
  "%s %d {x} {{y}} <b> </i> <br> & &lt; ]]> --> `z` $v \\n http://evil.example/ a@b.example \"'*_[#|~^"
    .split(" ");

const each = (change: (text: string, i: number) => string): TranslateTexts => (texts) =>
  Promise.resolve(texts.map(change));
const words = (change: (words: string[]) => string[]): TranslateTexts =>
  each((text) => change(text.split(" ")).join(" "));

/** By name. Each is a pure function of the text. */
export const ADVERSARIES: Readonly<Record<string, TranslateTexts>> = {
  identity: each((text) => text),
  capitals: each((text) => text.toUpperCase()),
  "capitals but kept": each((text) =>
    text.replace(/\p{Ll}+/gu, (w) => `${w[0]!.toUpperCase()}${w.slice(1)}`)
  ),
  reversed: words((w) => w.toReversed()),
  "letters reversed": each((text) => [...text].reverse().join("")),
  "every second word": words((w) => w.filter((_, i) => i % 2 === 0)),
  doubled: words((w) => w.flatMap((x) => [x, x])),
  rotated: words((w) => [...w.slice(w.length >> 1), ...w.slice(0, w.length >> 1)]),
  nothing: each(() => ""),
  spaces: each(() => " \n\t "),
  constant: each(() => "Lorem ipsum"),
  syntax: each((text, i) => `${text} ${SYNTAX[(text.length + i) % SYNTAX.length]}`),
  "all syntax": each((text) => `${SYNTAX.join("")}${text}${SYNTAX.join(" ")}`),
  "line breaks": words((w) => [w.join("\n"), "\r\n\r\n", "-->"]),
  controls: each((text) => `\u0000\u001b${text}\ud800\uffff`),
  numbers: each((text) => text.replace(/\d/g, (d) => String((Number(d) + 1) % 10))),
  long: each((text) => `${text} `.repeat(7)),
  "no spaces": each((text) => text.replaceAll(" ", "")),
  "spaced out": each((text) => [...text].join(" ")),
};
