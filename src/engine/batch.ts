/** Rows of several sentences as the flat arrays that the model takes. */
import { PAGE_TOKENS } from "../backend/contract.ts";
import type { DecodeRows, SegmentRows } from "../nn/context.ts";
import { positionOf } from "../nn/positions.ts";
import type { EmbeddingSpec } from "../nn/spec.ts";
import type { Sequence, SequenceRow } from "./sequence.ts";

/** Sentences end to end. `sources` are token ids; positions start anew in each. */
export function encodeRows(sources: readonly Int32Array[], embedding: EmbeddingSpec): SegmentRows {
  const total = sources.reduce((n, s) => n + s.length, 0);
  const array = () => new Int32Array(total);
  const rows = { ids: array(), positions: array(), starts: array(), lengths: array() };
  let start = 0;
  for (const source of sources) {
    rows.ids.set(source, start);
    for (let i = 0; i < source.length; i++) rows.positions[start + i] = positionOf(embedding, i);
    rows.starts.fill(start, start, start + source.length);
    rows.lengths.fill(source.length, start, start + source.length);
    start += source.length;
  }
  return rows;
}

/** A sentence's part of a step. */
export interface StepEntry {
  readonly sequence: Sequence;
  readonly rows: readonly SequenceRow[];
  /** Set where the rows go on at a sparse layer (ordinal): where the residual of each was kept. */
  readonly parked?: { readonly layer: number; readonly places: readonly number[] } | undefined;
}

/** A step of several sentences: each one's rows, kept together and in order. */
export function decodeRows(
  entries: readonly StepEntry[],
  embedding: EmbeddingSpec,
): DecodeRows {
  const total = entries.reduce((n, e) => n + e.rows.length, 0);
  const selfPagesPerRow = Math.max(1, ...entries.flatMap((e) => e.rows.map((r) => r.pages.length)));
  const crossPagesPerRow = Math.max(1, ...entries.map((e) => e.sequence.crossPages.length));
  const array = (width = 1) => new Int32Array(total * width);
  const out = {
    ids: array(),
    positions: array(),
    selfPlaces: array(),
    selfTable: array(selfPagesPerRow),
    selfPagesPerRow,
    selfLengths: array(),
    crossTable: array(crossPagesPerRow),
    crossPagesPerRow,
    crossLengths: array(),
    groupStarts: array(),
    groupLengths: array(),
    wanted: array(),
    resumeAt: array().fill(-1),
    parkedAt: array().fill(-1),
  };
  let t = 0;
  for (const { sequence, rows, parked } of entries) {
    out.groupStarts.fill(t, t, t + rows.length);
    out.groupLengths.fill(rows.length, t, t + rows.length);
    if (parked !== undefined) {
      out.resumeAt.fill(parked.layer, t, t + rows.length);
      out.parkedAt.set(parked.places, t);
    }
    for (const row of rows) {
      out.ids[t] = row.id;
      out.positions[t] = positionOf(embedding, row.index);
      const page = row.pages[Math.floor(row.index / PAGE_TOKENS)]!;
      out.selfPlaces[t] = page * PAGE_TOKENS + row.index % PAGE_TOKENS;
      out.selfTable.set(row.pages, t * selfPagesPerRow);
      out.selfLengths[t] = row.index + 1;
      out.crossTable.set(sequence.crossPages, t * crossPagesPerRow);
      out.crossLengths[t] = sequence.sourceTokens;
      out.wanted[t] = row.wanted ? 1 : 0;
      t++;
    }
  }
  return out;
}
