/**
 * deploy/nginx.conf before two replicas with small arenas: expert hit rates by target language against round robin.
 * Needs Debian's nginx, libnginx-mod-http-lua and lua-cjson. deno run -A tests/manual/nginx.ts [SECONDS] [GPU-MEMORY]
 */
import type { Served } from "../http/served.ts";
import { runLoad } from "../support/load.ts";
import { startNginx } from "../support/nginx.ts";

const seconds = Number(Deno.args[0] ?? 45);
/** Budget of a replica's arena. */
const GPU = Deno.args[1] ?? "31MiB";

async function measure(hash: boolean): Promise<void> {
  const flags = [
    "--gpu-memory",
    GPU,
    "--max-batch-tokens",
    "128",
    "--beams",
    "1",
    "--threads",
    "1",
  ];
  const balanced = await startNginx([...flags, "--detection", "off"], { hash });
  const { replicas, url } = balanced;
  try {
    const before = await Promise.all(replicas.map(lookups));
    const through = { child: replicas[0]!.child, metric: () => Promise.resolve(0) };
    const report = await runLoad(
      {
        ...through,
        translate: (body: unknown) =>
          fetch(`${url}/translate`, {
            method: "POST",
            headers: { "Content-Type": "application/json" },
            body: JSON.stringify(body),
          }),
      } as unknown as Served,
      { clients: 6, seconds },
    );
    const each = (await Promise.all(replicas.map(lookups)))
      .map((now, i) => ({ hit: now.hit - before[i]!.hit, miss: now.miss - before[i]!.miss }));
    const rate = (of: { hit: number; miss: number }) => of.hit / (of.hit + of.miss);
    const both = { hit: each[0]!.hit + each[1]!.hit, miss: each[0]!.miss + each[1]!.miss };
    const percent = (x: number) => `${(100 * x).toFixed(1)} %`;
    console.log(
      `${hash ? "by target language" : "round robin"}: hit rate ${percent(rate(both))} (${
        each.map((e) => percent(rate(e))).join(", ")
      }), statuses ${JSON.stringify(report.statuses)}, p50 ${report.p50.toFixed(0)} ms`,
    );
  } finally {
    await balanced.close();
  }
}

async function lookups(served: Served): Promise<{ hit: number; miss: number }> {
  const of = (result: string) => served.metric(`moqe_expert_lookups_total{result="${result}"}`);
  return { hit: await of("hit"), miss: await of("miss") };
}

await measure(true);
await measure(false);
