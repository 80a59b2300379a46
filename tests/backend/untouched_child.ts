/**
 * What 1 GiB that nobody touched adds to a process of its own, in resident bytes, to standard output. Other test files
 * run in the process of a test that asks.
 */
import { Ledger } from "../../src/base/ledger.ts";
import { createCpuBackend } from "../../src/backend/cpu/backend.ts";
import { SHAPE } from "./device.ts";

const before = Deno.memoryUsage().rss;
const ledger = new Ledger({ gpuBytes: 3.9 * 2 ** 30, hostBytes: 0 });
const backend = await createCpuBackend({ ledger });
const buffer = backend.alloc("in front", 2 ** 30, "arena");
backend.prepare(SHAPE);
console.log(JSON.stringify({ bytes: buffer.bytes, grown: Deno.memoryUsage().rss - before }));
backend.close();
