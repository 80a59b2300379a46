/** Arenas of equal slots, cut so that each lies within what a device can bind. */
import { formatBytes } from "../base/units.ts";
import { refuse } from "./shapes.ts";
import type { Arena, DeviceBuffer } from "./tensors.ts";

/** `slots` slots in as few arenas of at most `mostBytes` as hold them; `alloc` makes each one's buffer. */
export function makeArenas(
  slotBytes: number,
  slots: number,
  mostBytes: number,
  alloc: (label: string, bytes: number) => DeviceBuffer,
): Arena[] {
  const most = Math.floor(mostBytes / slotBytes);
  if (most < 1) {
    refuse(
      "create arenas",
      `a slot fits in a binding of ${formatBytes(mostBytes)}`,
      formatBytes(slotBytes),
    );
  }
  const arenas: Arena[] = [];
  for (let left = slots; left > 0; left -= most) {
    const here = Math.min(left, most);
    arenas.push({
      buffer: alloc(`arena ${arenas.length}`, here * slotBytes),
      slotBytes,
      slots: here,
    });
  }
  return arenas;
}
