/** Collecting this thread's garbage now, for what would otherwise stay resident while nothing is done. */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

/** Does nothing where the runtime does not let it. */
export function collectGarbage(): void {
  try {
    setFlagsFromString("--expose-gc");
    const collect = runInNewContext("gc") as () => void;
    setFlagsFromString("--no-expose-gc");
    collect();
  } catch { /* then it comes when it comes */ }
}
