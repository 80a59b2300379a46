/** Markup as a flat list of ranges of its text: what a parser hands to the segmenter. Together they are the text. */

/** An attribute and the range of its value without quotes. */
export interface MarkupAttribute {
  readonly name: string;
  readonly start: number;
  readonly end: number;
  readonly quoted: boolean;
}

export type MarkupEvent =
  | { readonly kind: "text"; readonly start: number; readonly end: number }
  | {
    readonly kind: "open";
    readonly start: number;
    readonly end: number;
    /** In lower case in HTML. */
    readonly name: string;
    /** <br>, or <x/> in XML: no close follows. */
    readonly empty: boolean;
    readonly attributes: readonly MarkupAttribute[];
  }
  | { readonly kind: "close"; readonly start: number; readonly end: number; readonly name: string }
  /** Comments, doctypes, instructions, CDATA, what no parser understands. */
  | { readonly kind: "other"; readonly start: number; readonly end: number };
