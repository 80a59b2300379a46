/** Every command of the bundle runs with exactly the permissions that deploy/permissions.ts names for it. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { bundle, stopBundler } from "../../deploy/build.ts";
import { permissionsOf, PERMITTED_COMMANDS, type Places } from "../../deploy/permissions.ts";
import { COMMANDS } from "../../src/cli/commands.ts";
import { hashKey } from "../../src/http/access/keys.ts";
import { modelAddress } from "../../src/cli/model.ts";
import { writeTinyChat } from "../support/chat_model.ts";
import { goldenFolder } from "../support/golden.ts";
import { hubServer } from "../support/hub_server.ts";
import { Served } from "../http/served.ts";

const MODEL = modelAddress(undefined);
const CHECKPOINT = goldenFolder("baseline");

let folder: string, file: string;
Deno.test.beforeAll(async () => {
  folder = await Deno.makeTempDir();
  file = `${folder}/moqe.js`;
  await bundle(file);
  await stopBundler();
});
Deno.test.afterAll(() => Deno.remove(folder, { recursive: true }));

function start(
  command: string,
  args: string[],
  places: Omit<Places, "bundle">,
  env: Record<string, string> = {},
) {
  const permissions = permissionsOf(command, { bundle: file, ...places });
  const path = Deno.execPath().split("/").slice(0, -1).join("/");
  return new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-config", "--no-prompt", ...permissions, file, command, ...args],
    cwd: folder,
    env: { NO_COLOR: "1", PATH: `${path}:${Deno.env.get("PATH")}`, ...env },
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}

async function run(
  command: string,
  args: string[],
  places: Omit<Places, "bundle">,
  input = "",
  env: Record<string, string> = {},
): Promise<string> {
  const child = start(command, args, places, env);
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(input));
  await writer.close();
  const { code, stdout, stderr } = await child.output();
  assertEquals(code, 0, new TextDecoder().decode(stderr));
  return new TextDecoder().decode(stdout);
}

Deno.test("each command of the program has its permissions", () => {
  const missing = COMMANDS.map((c) => c.name).filter((n) => !PERMITTED_COMMANDS.includes(n));
  assertEquals(missing, []);
});

Deno.test("serve and health: keys, state, Workers, its own port and nothing else", async () => {
  const keys = `${folder}/keys.json`, state = `${folder}/state`;
  await Deno.writeTextFile(
    keys,
    JSON.stringify({ keys: [{ name: "a", sha256: hashKey("secret") }] }),
  );
  const child = start(
    "serve",
    ["--port", "0", "--model", MODEL, "--keys", keys, "--state", state],
    {
      model: MODEL,
      inputs: [keys],
      outputs: [state],
      listen: ["127.0.0.1"],
    },
  );
  const served = await Served.of(child).catch((error) => {
    throw new Error(`serve did not start: ${error}`);
  });
  const body = { q: "Open the file.", source: "en", target: "de", api_key: "secret" };
  const answer = await served.translate(body);
  assertEquals(answer.status, 200, await answer.text());
  const { port, hostname } = new URL(served.url);
  const places = { listen: [], store: `${hostname}:${port}` };
  assertStringIncludes(await run("health", ["--port", port], places), "alive");
  assertStringIncludes(await run("health", ["--port", port, "--ask", "ready"], places), "ready");
  assertEquals(await served.end(), 0);
  const usage = JSON.parse(await Deno.readTextFile(`${state}/usage.json`));
  assertEquals(usage.characters, { a: 14 });
});

Deno.test("the images' health check holds at any port, on every interface of either kind", async () => {
  const dockerfile = await Deno.readTextFile(new URL("../../deploy/Dockerfile", import.meta.url));
  const checks = [...dockerfile.matchAll(/^HEALTHCHECK .*\\\n\s*CMD (.*)$/gm)].map((m) => m[1]!);
  assertEquals([checks.length, new Set(checks).size], [2, 1]);
  const args = (JSON.parse(checks[0]!) as string[]).slice(1)
    .map((arg) => arg === "/app/moqe.js" ? file : arg);
  for (const host of ["0.0.0.0", "::"]) {
    await using server = Deno.serve({ hostname: host, port: 0, onListen() {} }, ({ url }) => {
      return new Response("alive", { status: new URL(url).pathname === "/live" ? 200 : 404 });
    });
    const env = { MOQE_HOST: host, MOQE_PORT: String(server.addr.port), NO_COLOR: "1" };
    const { code, stderr } = await new Deno.Command(Deno.execPath(), { args, env }).output();
    assertEquals(code, 0, `${host}: ${new TextDecoder().decode(stderr)}`);
  }
});

Deno.test("translate, verify, plan and key", async () => {
  const args = ["--from", "en", "--to", "de", "--model", MODEL];
  assert((await run("translate", args, { model: MODEL }, "Open the file.\n")).length > 5);
  assertStringIncludes(await run("verify", [MODEL], { model: MODEL }), "is whole");
  assertStringIncludes(await run("plan", [MODEL], { model: MODEL }), "least --gpu-memory");
  assertStringIncludes(await run("key", ["shop"], {}), '"name":"shop"');
});

Deno.test("pack: the checkpoint and the folder it makes", async () => {
  const out = `${folder}/packed`;
  const args = [CHECKPOINT, out, "--pairs", "en-de", "--licence", "MIT"];
  await run("pack", args, { inputs: [CHECKPOINT], outputs: [out] });
  assert((await Deno.stat(`${out}/manifest.json`)).isFile);
});

Deno.test("generate: a chat model that was packed without pairs, from a prompt and from standard input", async () => {
  const checkpoint = `${folder}/chat`, model = `${folder}/chat-packed`;
  await writeTinyChat(checkpoint);
  const packed = [checkpoint, model, "--licence", "MIT"];
  await run("pack", packed, { inputs: [checkpoint], outputs: [model] });
  const args = [model, "--chat", "--max-tokens", "8"];
  const prompted = await run("generate", [...args, "--prompt", "Hello"], { model });
  assert(prompted.length > 1);
  assertEquals(await run("generate", args, { model }, "Hello\n"), prompted);
  const translated = ["--from", "en", "--to", "de", "--model", model, "--max-tokens", "8"];
  assert((await run("translate", translated, { model }, "Open the file.\n")).length > 1);
});

Deno.test("pack and plan: a hub's checkpoint, with its two hosts and its variables", async () => {
  const names = ["config.json", "tokenizer.json", "model.safetensors"];
  const files = Object.fromEntries(names.map((n) => [n, Deno.readFileSync(`${CHECKPOINT}/${n}`)]));
  const commits = { ["c".repeat(40)]: files }, branches = { main: "c".repeat(40) };
  const hub = hubServer({ "acme/tiny": { commits, branches, readers: ["t"], members: ["t"] } });
  const out = `${folder}/from-hub`, env = { HF_ENDPOINT: hub.endpoint, HF_TOKEN: "t" };
  const store = hub.hosts.join(",");
  const address = "hf://acme/tiny", how = ["--pairs", "en-de", "--licence", "MIT"];
  await run("pack", [address, out, ...how], { outputs: [out], store }, "", env);
  assert((await Deno.stat(`${out}/manifest.json`)).isFile);
  assertStringIncludes(await run("plan", [address], { store }, "", env), "least --host-memory");
  await hub.close();
});

Deno.test("calibrate, profile, reorder and cache", async () => {
  const texts = `${folder}/texts.txt`, out = `${folder}/learned`;
  await Deno.mkdir(out);
  await Deno.writeTextFile(texts, "Open the file.\nSave it to another folder.\n");
  const places = { model: MODEL, inputs: [texts], outputs: [out] };
  const trace = `${out}/trace`;
  const profiled = [texts, "--model", MODEL, "--output", `${out}/profiles.json`];
  await run("profile", [...profiled, "--trace", trace], places);
  await run("reorder", [MODEL, `${out}/model`, "--order-by", trace], {
    model: MODEL,
    inputs: [trace],
    outputs: [`${out}/model`],
  });
  const calibrated = [MODEL, texts, "--samples", "16", "--output", `${out}/calibration.moqe`];
  await run("calibrate", calibrated, places);
  await run("cache", ["stats", "--disk-cache", "1GiB", "--disk-cache-dir", out], {
    outputs: [out],
  });
  assertEquals((await Deno.stat(`${out}/profiles.json`)).isFile, true);
});

Deno.test("eval", async () => {
  const source = `${folder}/source.txt`, reference = `${folder}/reference.txt`;
  await Deno.writeTextFile(source, "Open the file.\n");
  await Deno.writeTextFile(reference, "Datei öffnen.\n");
  const args = [MODEL, source, reference, "--from", "en", "--to", "de"];
  const score = await run("eval", args, { model: MODEL, inputs: [source, reference] });
  assertStringIncludes(score, "BLEU");
});
