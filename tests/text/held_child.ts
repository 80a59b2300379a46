/** Says what a tokenizer read from a file holds, and what the process grew by at its peak, in bytes as JSON. */
import { readTokenizer } from "../../src/text/tokenizer_bytes.ts";

const collect = (globalThis as unknown as { gc: () => void }).gc;

async function used(): Promise<number> {
  for (let i = 0; i < 5; i++) {
    collect();
    await new Promise((done) => setTimeout(done, 20));
  }
  const { heapUsed, external } = Deno.memoryUsage();
  return heapUsed + external;
}

function resident(field: "VmRSS" | "VmHWM"): number {
  const status = Deno.readTextFileSync("/proc/self/status");
  return Number(new RegExp(`${field}:\\s+(\\d+)`).exec(status)![1]) * 1024;
}

const small = `{"model":{"type":"BPE","vocab":{"a":0},"merges":[]}}`;
readTokenizer(new TextEncoder().encode(small));
const before = await used(), start = resident("VmRSS");
const tokenizer = readTokenizer(Deno.readFileSync(Deno.args[0]!));
const peak = resident("VmHWM") - start;
const held = await used() - before;
console.log(JSON.stringify({ held, peak, hostBytes: tokenizer.hostBytes }));
