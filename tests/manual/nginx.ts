/**
 * deploy/nginx.conf before two replicas with small arenas: expert hit rates by target language against round robin.
 * Needs Debian's nginx, libnginx-mod-http-lua and lua-cjson. deno run -A tests/manual/nginx.ts [SECONDS] [GPU-MEMORY]
 */
import { assert, assertEquals } from "@std/assert";
import { spawnMoqe } from "../cli/moqe.ts";
import { after, Served } from "../http/served.ts";
import { runLoad } from "../support/load.ts";

const CONF = new URL("../../deploy/nginx.conf", import.meta.url);
const PORTS = { nginx: 18080, replicas: [15001, 15002] };
const seconds = Number(Deno.args[0] ?? 45);
/** Budget of a replica's arena. */
const GPU = Deno.args[1] ?? "31MiB";

/** The committed file with this run's ports and folder; without the hash line it is round robin. */
function configuration(folder: string, hash: boolean): string {
  let text = Deno.readTextFileSync(CONF)
    .replace("/run/nginx.pid", `${folder}/nginx.pid`)
    .replaceAll("/var/log/nginx", folder)
    .replace("listen 8080", `listen 127.0.0.1:${PORTS.nginx}`)
    .replace("127.0.0.1:5001", `127.0.0.1:${PORTS.replicas[0]}`)
    .replace("127.0.0.1:5002", `127.0.0.1:${PORTS.replicas[1]}`);
  if (!hash) text = text.replace("hash $moqe_target consistent;", "");
  return text;
}

async function measure(hash: boolean): Promise<void> {
  const folder = await Deno.makeTempDir();
  await Deno.chmod(folder, 0o755);
  await Deno.writeTextFile(`${folder}/nginx.conf`, configuration(folder, hash));
  const flags = ["--gpu-memory", GPU, "--max-batch-tokens", "128", "--beams", "1", "--threads"];
  const replicas = await Promise.all(
    PORTS.replicas.map((port) =>
      Served.of(spawnMoqe(["serve", "--port", String(port), ...flags, "1", "--detection", "off"]))
    ),
  );
  const nginx = new Deno.Command("nginx", {
    args: ["-c", `${folder}/nginx.conf`, "-g", "daemon off;"],
    stdout: "inherit",
    stderr: "inherit",
  }).spawn();
  try {
    await after(1000);
    const url = `http://127.0.0.1:${PORTS.nginx}`;
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
    if (hash) await checkRoutes(folder, url);
  } finally {
    nginx.kill("SIGTERM");
    await nginx.status;
    for (const replica of replicas) await replica.end();
    await Deno.remove(folder, { recursive: true });
  }
}

/** One language goes to one replica, however the request says it; /metrics is not there from outside. */
async function checkRoutes(folder: string, url: string): Promise<void> {
  const log = `${folder}/access.log`;
  const from = (await Deno.readTextFile(log)).length;
  const form = new URLSearchParams({ q: "Save it.", source: "en", target: "DE" });
  const parts = new FormData();
  for (const [name, value] of form) parts.set(name, value);
  const json = { "Content-Type": "application/json" };
  const deepl = JSON.stringify({ text: ["Save it."], source_lang: "EN", target_lang: "DE" });
  const asked: [string, RequestInit][] = [
    ["/translate", { method: "POST", body: form }],
    ["/translate", { method: "POST", body: parts }],
    [`/translate?${form}`, { method: "POST" }],
    ["/v2/translate", { method: "POST", headers: json, body: deepl }],
    ["/translate", {
      method: "POST",
      headers: json,
      body: JSON.stringify({ q: "Save it.", source: "en", target: "de-AT" }),
    }],
  ];
  for (const [path, init] of asked) {
    const answer = await fetch(url + path, init);
    assertEquals(answer.status, 200, `${path}: ${await answer.clone().text()}`);
    await answer.body?.cancel();
  }
  await after(200);
  const lines = (await Deno.readTextFile(log)).slice(from).trim().split("\n");
  const places = new Set(lines.map((line) => line.split(" ")[5]));
  console.log(`  five ways to say German reached ${[...places].join(" and ")}`);
  assert(places.size === 1, lines.join("\n"));
  assertEquals((await fetch(`${url}/metrics`)).status, 404);
  await checkDocuments(url);
}

/** A document comes back from the replica that took it, whatever its language, at an address that can be fetched. */
async function checkDocuments(url: string): Promise<void> {
  for (const target of ["de", "fr", "es"]) {
    const form = new FormData();
    form.set("file", new File(["Save it."], "a.txt"));
    form.set("source_lang", "en");
    form.set("target_lang", target);
    const { document_id, document_key } =
      await (await fetch(`${url}/v2/document`, { method: "POST", body: form })).json();
    const body = new URLSearchParams({ document_key });
    const status = await fetch(`${url}/v2/document/${document_id}`, { method: "POST", body });
    assertEquals(status.status, 200, await status.text());
    form.set("source", "en");
    form.set("target", target);
    const file = await fetch(`${url}/translate_file`, { method: "POST", body: form });
    const download = await fetch((await file.json()).translatedFileUrl);
    assertEquals(download.status, 200, await download.text());
  }
}

async function lookups(served: Served): Promise<{ hit: number; miss: number }> {
  const of = (result: string) => served.metric(`moqe_expert_lookups_total{result="${result}"}`);
  return { hit: await of("hit"), miss: await of("miss") };
}

await measure(true);
await measure(false);
