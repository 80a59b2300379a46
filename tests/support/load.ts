/** Clients that ask without a pause: texts of mixed lengths, statuses counted, latencies and memory recorded. */
import type { Served } from "../http/served.ts";

const SENTENCES = [
  "Open the file.",
  "The file could not be opened because another program is using it.",
  "Select the folder in which the new project should be created.",
  "You can change this setting later in the preferences of the application.",
  "Do you really want to delete all messages from the selected account?",
  "Save changes?",
  "If the connection is lost, the download continues where it stopped.",
  "Enter the name of the printer and click on the button below.",
  "Cancel",
  "The server did not answer in time; please try again in a few minutes.",
];
const TARGETS = ["de", "fr", "es"];

/** What was seen. */
export interface LoadReport {
  readonly seconds: number;
  readonly statuses: Record<string, number>;
  /** Latencies of answered requests in milliseconds. */
  readonly p50: number;
  readonly p95: number;
  readonly p99: number;
  readonly tokensPerSecond: number;
  /** Resident memory in bytes, sampled through the time. */
  readonly rss: number[];
}

/** A text of 1 to 12 sentences, the same for the same numbers. */
function textOf(client: number, n: number): string {
  const count = [1, 1, 2, 1, 3, 5, 1, 2, 12, 1][(client + n) % 10]!;
  return Array.from(
    { length: count },
    (_, i) => SENTENCES[(client * 7 + n * 3 + i) % SENTENCES.length],
  ).join(" ");
}

/** Lets clients ask for so long. A client that is refused waits as Retry-After says, 2 s at most. */
export async function runLoad(
  served: Served,
  { clients, seconds }: { clients: number; seconds: number },
): Promise<LoadReport> {
  const tokens = () => served.metric('moqe_tokens_total{direction="out"}');
  const statuses: Record<string, number> = {};
  const latencies: number[] = [], rss: number[] = [];
  const before = await tokens(), start = performance.now();
  const end = start + 1000 * seconds;
  const sample = () => rss.push(rssOf(served.child.pid));
  sample();
  const timer = setInterval(sample, Math.max(250, 1000 * seconds / 120));
  const one = async (client: number) => {
    for (let n = 0; performance.now() < end; n++) {
      const from = performance.now();
      const target = TARGETS[(client + n) % TARGETS.length];
      const body = { q: textOf(client, n), source: "en", target };
      const { status, wait } = await served.translate(body).then(async (r) => {
        await r.body?.cancel();
        return { status: String(r.status), wait: Number(r.headers.get("Retry-After") ?? 0) };
      }, (error) => ({ status: `failed: ${error.message}`, wait: 0 }));
      statuses[status] = (statuses[status] ?? 0) + 1;
      if (status === "200") latencies.push(performance.now() - from);
      else await new Promise((resolve) => setTimeout(resolve, 1000 * Math.min(2, wait)));
    }
  };
  await Promise.all(Array.from({ length: clients }, (_, client) => one(client)));
  clearInterval(timer);
  sample();
  const took = (performance.now() - start) / 1000;
  latencies.sort((a, b) => a - b);
  const at = (share: number) => latencies[Math.floor(share * (latencies.length - 1))] ?? NaN;
  return {
    seconds: took,
    statuses,
    p50: at(0.5),
    p95: at(0.95),
    p99: at(0.99),
    tokensPerSecond: (await tokens() - before) / took,
    rss,
  };
}

/** The report in a few lines. */
export function loadText(r: LoadReport): string {
  const mib = (bytes: number) => `${(bytes / 2 ** 20).toFixed(0)} MiB`;
  const tenth = Math.max(1, Math.floor(r.rss.length / 10));
  const mean = (all: number[]) => all.reduce((a, b) => a + b, 0) / all.length;
  const windows = Array.from({ length: 10 }, (_, i) => r.rss.slice(i * tenth, (i + 1) * tenth))
    .filter((w) => w.length > 0).map((w) => mib(mean(w)));
  return [
    `  ${r.seconds.toFixed(0)} s, statuses ${JSON.stringify(r.statuses)}`,
    `  latency ms: p50 ${r.p50.toFixed(0)}, p95 ${r.p95.toFixed(0)}, p99 ${r.p99.toFixed(0)}`,
    `  ${r.tokensPerSecond.toFixed(0)} tokens/s`,
    `  rss by tenths of the time: ${windows.join(", ")}; most ${mib(Math.max(...r.rss))}`,
  ].join("\n");
}

function rssOf(pid: number): number {
  const status = Deno.readTextFileSync(`/proc/${pid}/status`);
  return Number(/VmRSS:\s+(\d+) kB/.exec(status)![1]) * 1024;
}
