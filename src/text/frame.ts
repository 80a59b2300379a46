/** The tokens that a tokenizer.json puts around a text: its post-processor, for one text. */
import { type Part, unknownPart } from "./normalizers.ts";

/** Ids before and behind a text's own. */
export interface Frame {
  readonly before: readonly number[];
  readonly after: readonly number[];
}

/** Reads a tokenizer.json's post-processor. Throws MoqeError `unsupported` for a kind that is not known, by name. */
export function frameOf(part: Part | null): Frame {
  switch (part?.type) {
    case undefined:
    case "ByteLevel":
      return { before: [], after: [] };
    case "Sequence": {
      const frames = (part!["processors"] as Part[]).map(frameOf);
      return {
        before: frames.toReversed().flatMap((frame) => frame.before),
        after: frames.flatMap((frame) => frame.after),
      };
    }
    case "BertProcessing":
    case "RobertaProcessing":
      return { before: [idOf(part!["cls"])], after: [idOf(part!["sep"])] };
    case "TemplateProcessing":
      return template(part!);
  }
  throw unknownPart("post-processor", part!.type);
}

function template(part: Part): Frame {
  const single = part["single"] as { SpecialToken?: { id: string } }[];
  const known = part["special_tokens"] as Record<string, { ids: number[] }>;
  const ids = single.map(({ SpecialToken: token }) =>
    token ? known[token.id]?.ids ?? [] : undefined
  );
  const text = ids.indexOf(undefined);
  const [before, after] = text < 0 ? [ids, []] : [ids.slice(0, text), ids.slice(text + 1)];
  return { before: before.flatMap((i) => i ?? []), after: after.flatMap((i) => i ?? []) };
}

/** Of a token and its id, as the older kinds write it. */
function idOf(pair: unknown): number {
  return (pair as [string, number])[1];
}
