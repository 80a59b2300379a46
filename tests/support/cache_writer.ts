/** A process that writes blocks to a disk cache until it is killed: argv FOLDER BUDGET SEED. */
import { createHash } from "node:crypto";
import { DiskCache } from "../../src/store/disk_cache.ts";

const [folder, budget, seed] = Deno.args;
const cache = await DiskCache.open(folder!, Number(budget));
console.log("ready");
for (let i = 0; i < 100_000; i++) {
  const bytes = new Uint8Array(20_000 + (i % 7) * 10_000).fill((i * 31 + Number(seed)) & 255);
  new DataView(bytes.buffer).setUint32(0, i);
  await cache.write(createHash("sha256").update(bytes).digest("hex"), bytes);
}
