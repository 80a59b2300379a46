/** A store that answers ranges late, once it is told to. */
import type { ObjectStore } from "../../src/store/contract.ts";

/** `inner`, as quick as it is until `begin` is called: loading is not what is measured. */
export function slowStore(
  inner: ObjectStore,
  delayMs: number,
): { store: ObjectStore; begin(): void } {
  let slow = false;
  const store: ObjectStore = {
    origin: inner.origin,
    readAll: (name, maxBytes, options) => inner.readAll(name, maxBytes, options),
    readRange: async (name, range, options) => {
      if (slow) await new Promise((resolve) => setTimeout(resolve, delayMs));
      return await inner.readRange(name, range, options);
    },
  };
  return { store, begin: () => void (slow = true) };
}
