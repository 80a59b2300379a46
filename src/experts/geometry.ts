/** How blocks of several widths share arenas: a slot has room for the widest, and is cut into units for all. */
import { alignUp } from "../base/units.ts";
import { BLOCK_ALIGN } from "../base/layout.ts";
import type { Arena, Backend } from "../backend/contract.ts";
import type { Manifest } from "../store/manifest.ts";

/** A slot is cut into no more units than this. */
const MOST_UNITS = 8;
/** A slot may be this many times the widest block, so that several narrow ones fill it: the least arena grows by it. */
const MOST_WIDER = 1.25;

/** A model's slots. */
export interface SlotGeometry {
  /** units * unitBytes. */
  readonly slotBytes: number;
  readonly units: number;
  readonly unitBytes: number;
  /** Slots in which all experts lie at once. */
  readonly slotsForAll: number;
}

/** Units that a block takes, side by side in one slot. */
export function unitsOf(bytes: number, { unitBytes }: SlotGeometry): number {
  return Math.ceil(bytes / unitBytes);
}

/** Arenas of so many slots, as kernels and places count them: in units. */
export function slottedArenas(backend: Backend, geometry: SlotGeometry, slots: number): Arena[] {
  const made = slots === 0 ? [] : backend.createArenas(geometry.slotBytes, slots);
  const { units, unitBytes } = geometry;
  return made.map((a) => ({ ...a, slotBytes: unitBytes, slots: a.slots * units }));
}

/** The cut under which all experts together take the fewest bytes; one unit where they are all as wide. */
export function slotGeometry(manifest: Manifest): SlotGeometry {
  const lengths = manifest.expertLayers.flatMap((l) => l.experts.map((e) => e.block.length));
  const widest = lengths.reduce((a, b) => Math.max(a, b), 0);
  let best: SlotGeometry = { slotBytes: 0, units: 1, unitBytes: BLOCK_ALIGN, slotsForAll: 0 };
  if (widest === 0) return best;
  const total = (g: SlotGeometry) => g.slotBytes * g.slotsForAll;
  const wider = [...new Set(lengths)].map((n) => Math.ceil(widest / n) * n);
  const slots = [widest, ...wider.filter((s) => s <= MOST_WIDER * widest).sort((a, b) => a - b)];
  for (const slot of slots) {
    for (let units = 1; units <= MOST_UNITS; units++) {
      const unitBytes = alignUp(Math.ceil(slot / units), BLOCK_ALIGN);
      const slotsForAll = slotsOf(lengths.map((n) => Math.ceil(n / unitBytes)), units);
      const tried = { slotBytes: units * unitBytes, units, unitBytes, slotsForAll };
      if (best.slotBytes === 0 || total(tried) < total(best)) best = tried;
    }
  }
  return best;
}

/** Slots that hold all widths, the widest placed first, each where it fits best. */
function slotsOf(widths: readonly number[], units: number): number {
  /** Slots with so many units left. */
  const left = new Array<number>(units + 1).fill(0);
  let slots = 0;
  for (const width of widths.toSorted((a, b) => b - a)) {
    let room = width;
    while (room < units && left[room] === 0) room++;
    if (left[room]! > 0) left[room]!--;
    else slots++;
    left[room - width]!++;
  }
  return slots;
}
