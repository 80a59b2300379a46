/** A segment: one run of text to translate with what stands in it, as every format hands it to the translation. */
import type { SpanKind, SplitSentences } from "../documents/contract.ts";

/** A piece of a segment, in the order of the source. */
export type RichItem =
  /** Text as a reader sees it. `raw` where its bytes differ (an entity, an escape): such an item is never cut. */
  | { readonly kind: "text"; readonly text: string; readonly raw?: string | undefined }
  /**
   * Kept to the byte. The translator sees `shown` in its place; "" is a point between two characters, "\n" a break
   * between two sentences.
   */
  | {
    readonly kind: "atom";
    readonly raw: string;
    readonly shown: string;
    readonly span?: SpanKind | undefined;
    readonly inner?: InnerText | undefined;
  }
  /** Tags of an element: `pair` ties them together. In a segment pairs are whole and well nested. */
  | { readonly kind: "open" | "close"; readonly raw: string; readonly pair: number };

/** A text inside an atom's bytes that is translated by itself: what stands for an image. */
export interface InnerText {
  readonly before: string;
  readonly text: string;
  readonly after: string;
}

/** Text to translate with its items, and how translated text is written in its place. */
export interface Segment {
  readonly items: readonly RichItem[];
  readonly splitSentences: SplitSentences;
  /** Writes translated text in the format: escapes what would be syntax. */
  escape(text: string): string;
}

/** The source bytes of items. */
export function rawOf(items: readonly RichItem[]): string {
  return items.map((i) => i.kind === "text" ? i.raw ?? i.text : i.raw).join("");
}
