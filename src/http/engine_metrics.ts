/** The engine's own counts as Prometheus metrics: one table that says where each number comes from. */
import { Counter, Gauge, type Registry } from "prom-client";
import type { EngineStats } from "../engine/protocol.ts";

/** A value and its labels. */
type Sample = [labels: Record<string, string>, value: number];

interface Row {
  kind: "counter" | "gauge";
  name: string;
  help: string;
  labels?: string[];
  read(stats: EngineStats): Sample[];
}

const one = (value: number): Sample[] => [[{}, value]];

const count = (
  name: string,
  help: string,
  read: (s: EngineStats) => number,
  kind: Row["kind"] = "counter",
): Row => ({
  kind,
  name,
  help,
  read: (s) => one(read(s)),
});

const BUDGETS = ["gpu", "host"] as const;

const budgets = (name: string, help: string, field: "budgetBytes" | "usedBytes" | "peakBytes") => ({
  kind: "gauge" as const,
  name,
  help,
  labels: ["budget"],
  read: (s: EngineStats) => BUDGETS.map((b): Sample => [{ budget: b }, s.ledger[b][field]]),
});

const ROWS: Row[] = [
  {
    kind: "counter",
    name: "moqe_tokens_total",
    help: "Tokens read (in) and written (out).",
    labels: ["direction"],
    read: (s) => [[{ direction: "in" }, s.tokens.source], [{ direction: "out" }, s.tokens.target]],
  },
  {
    kind: "counter",
    name: "moqe_steps_total",
    help: "Forward passes.",
    labels: ["stack"],
    read: (s) => [[{ stack: "encoder" }, s.steps.encode], [{ stack: "decoder" }, s.steps.decode]],
  },
  {
    kind: "gauge",
    name: "moqe_queue_sentences",
    help: "Sentences that wait, that run, and those of them that wait for an expert.",
    labels: ["state"],
    read: (s) => [
      [{ state: "waiting" }, s.queue.waiting],
      [{ state: "running" }, s.queue.running],
      [{ state: "parked" }, s.queue.parked ?? 0],
    ],
  },
  {
    kind: "counter",
    name: "moqe_decode_steps_total",
    help:
      "Decoder steps that did not wait for the host (park) and that did at sparse layers (waves).",
    labels: ["mode"],
    read: ({ decode }) => [
      [{ mode: "park" }, decode?.parkSteps ?? 0],
      [{ mode: "waves" }, decode?.waveSteps ?? 0],
    ],
  },
  count(
    "moqe_decode_faults_total",
    "Sentences that left a step to wait for an expert.",
    (s) => s.decode?.faults ?? 0,
  ),
  {
    kind: "counter",
    name: "moqe_expert_lookups_total",
    help: "Experts asked for that were resident (hit) or not (miss).",
    labels: ["result"],
    read: (s) => [[{ result: "hit" }, s.experts.hits], [{ result: "miss" }, s.experts.misses]],
  },
  count("moqe_expert_evictions_total", "Experts given up for others.", (s) => s.experts.evictions),
  count("moqe_expert_loads_total", "Experts brought into slots.", (s) => s.experts.loads),
  count(
    "moqe_expert_loaded_bytes_total",
    "Bytes of experts brought into slots.",
    (s) => s.experts.loadedBytes,
  ),
  count("moqe_expert_waves_total", "Waves that sparse layers ran in.", (s) => s.experts.waves),
  {
    kind: "gauge",
    name: "moqe_expert_slots",
    help: "Slots of the arenas, and how many hold an expert.",
    labels: ["state"],
    read: (s) => [
      [{ state: "total" }, s.experts.slots],
      [{ state: "resident" }, s.experts.resident],
    ],
  },
  count("moqe_fetch_requests_total", "Reads sent to the store.", (s) => s.fetch.requests),
  count("moqe_fetch_bytes_total", "Bytes that the store sent.", (s) => s.fetch.bytes),
  count("moqe_fetch_blocks_total", "Blocks that were read and verified.", (s) => s.fetch.blocks),
  count(
    "moqe_fetch_refused_total",
    "Blocks whose hash was wrong and that were refused.",
    (s) => s.fetch.refused,
  ),
  {
    kind: "counter",
    name: "moqe_fetch_retries_total",
    help: "Reads that were tried again, by why the try before had failed.",
    labels: ["reason"],
    read: (s) => Object.entries(s.fetch.retriesBy).map(([reason, n]): Sample => [{ reason }, n]),
  },
  {
    kind: "counter",
    name: "moqe_fetch_events_total",
    help: "What befell fetches: came with a neighbour, joined one under way, given up, hedged...",
    labels: ["event"],
    read: ({ fetch }) => [
      [{ event: "coalesced" }, fetch.coalesced],
      [{ event: "joined" }, fetch.joined],
      [{ event: "cancelled" }, fetch.cancelled],
      [{ event: "hedged" }, fetch.hedges],
      [{ event: "hedge_won" }, fetch.hedgesWon],
      [{ event: "from_mirror" }, fetch.fromMirrors],
    ],
  },
  {
    kind: "counter",
    name: "moqe_fetch_failed_total",
    help: "Fetches that ended with an error, by its code; cancelled ones are events.",
    labels: ["code"],
    read: (s) => Object.entries(s.fetch.failedBy).map(([code, n]): Sample => [{ code }, n]),
  },
  {
    kind: "counter",
    name: "moqe_fetch_tier_blocks_total",
    help: "Blocks that a cache had, by tier.",
    labels: ["tier"],
    read: (s) => Object.entries(s.fetch.fromTiers).map(([tier, n]): Sample => [{ tier }, n]),
  },
  {
    kind: "counter",
    name: "moqe_prefetched_experts_total",
    help: "Experts asked for early, those that came in time, and those that were then used.",
    labels: ["what"],
    read: ({ prefetch: { asked, came, used } }) => [
      [{ what: "asked" }, asked],
      [{ what: "came" }, came],
      [{ what: "used" }, used],
    ],
  },
  {
    kind: "counter",
    name: "moqe_tier_lookups_total",
    help: "Blocks that the arenas lacked, by tier and whether it had them.",
    labels: ["tier", "result"],
    read: (s) => {
      const { ram, disk } = s.tiers;
      const hitsAndMisses = (tier: string, t: { hits: number; misses: number }): Sample[] => [
        [{ tier, result: "hit" }, t.hits],
        [{ tier, result: "miss" }, t.misses],
      ];
      return [...hitsAndMisses("ram", ram), ...(disk ? hitsAndMisses("disk", disk) : [])];
    },
  },
  count("moqe_ram_tier_blocks", "Blocks held in host memory.", (s) => s.tiers.ram.blocks, "gauge"),
  count(
    "moqe_ram_tier_shrunk_total",
    "Blocks given up because other lines needed the room.",
    (s) => s.tiers.ram.shrunk,
  ),
  {
    kind: "counter",
    name: "moqe_disk_tier_bytes_total",
    help: "Bytes read from and written to the disk cache.",
    labels: ["direction"],
    read: ({ tiers: { disk } }) =>
      disk === undefined
        ? []
        : [[{ direction: "read" }, disk.readBytes], [{ direction: "write" }, disk.writtenBytes]],
  },
  {
    kind: "counter",
    name: "moqe_disk_tier_blocks_total",
    help:
      "Blocks written to the disk cache, left out (disk failed, memory wanted) and found wrong.",
    labels: ["result"],
    read: ({ tiers: { disk } }) =>
      disk === undefined ? [] : [
        [{ result: "written" }, disk.writtenBlocks],
        [{ result: "skipped" }, disk.skipped],
        [{ result: "wrong" }, disk.dropped],
      ],
  },
  {
    kind: "gauge",
    name: "moqe_ledger_bytes",
    help: "Bytes held, by budget and line of the ledger.",
    labels: ["budget", "line"],
    read: (s) =>
      BUDGETS.flatMap((budget) =>
        Object.entries(s.ledger[budget].lines)
          .map(([line, bytes]): Sample => [{ budget, line }, bytes])
      ),
  },
  budgets("moqe_ledger_budget_bytes", "The two hard budgets.", "budgetBytes"),
  budgets("moqe_ledger_used_bytes", "Bytes held of each budget.", "usedBytes"),
  budgets("moqe_ledger_peak_bytes", "Most bytes ever held of each budget.", "peakBytes"),
];

/** Registers every metric of the engine; the result shows one set of numbers in them. */
export function engineMetrics(registry: Registry): (stats: EngineStats) => void {
  const metrics = ROWS.map((row) => {
    const config = {
      name: row.name,
      help: row.help,
      labelNames: row.labels ?? [],
      registers: [registry],
    };
    return { row, metric: row.kind === "gauge" ? new Gauge(config) : new Counter(config) };
  });
  return (stats) => {
    for (const { row, metric } of metrics) {
      // The engine keeps the counts; a counter here only repeats them, so it starts anew at each scrape.
      metric.reset();
      for (const [labels, value] of row.read(stats)) metric.inc(labels, value);
    }
  };
}
