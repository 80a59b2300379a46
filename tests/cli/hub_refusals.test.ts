/** What a hub refuses and what a plan reads of it: from a local server that answers as the hub does. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { NLLB_MOE_54B } from "../support/nllb_54b.ts";
import { rangeServer } from "../support/range_server.ts";
import { temporaryFolder } from "../support/safetensors.ts";
import { A, PAIRS, repository, TINY, TOKEN, withHub } from "./hub.ts";

Deno.test("too many requests are waited for, as long as the hub says, and said; too long is an error", async () => {
  using folder = temporaryFolder();
  const pauses: Record<string, string>[] = [{ "retry-after": "1" }, { ratelimit: '"api";r=0;t=1' }];
  const instead = () => {
    const headers = pauses.shift();
    return headers && new Response(null, { status: 429, headers });
  };
  await withHub(repository(TINY), { instead }, async (hub, run) => {
    const start = performance.now();
    const { code, err } = await run(["pack", "hf://acme/tiny", `${folder.path}/a`, ...PAIRS]);
    assertEquals(code, 0, err);
    assertEquals(err.match(/^moqe: 127\.0\.0\.1:\d+ asks to wait 1 s$/gm)?.length, 2);
    assert(performance.now() - start > 2000);
    pauses.push({ "retry-after": "3600" });
    const asked = hub.asked.length;
    const long = await run(["plan", "hf://acme/tiny"]);
    assertEquals(long.code, 1);
    assertMatch(long.err, /429.* 3600 s.*HF_TOKEN/);
    assertEquals(hub.asked.length, asked + 1);
  });
});

Deno.test("a gated model says where its terms are and which variable to set", async () => {
  await withHub(repository(TINY, { readers: [TOKEN] }), {}, async (hub, run) => {
    const plan = (env: Record<string, string>) => run(["plan", "hf://acme/tiny"], env);
    const without = await plan({});
    assertEquals(without.code, 1);
    for (const part of ["gated", `${hub.endpoint}/acme/tiny`, "HF_TOKEN"]) {
      assertStringIncludes(without.err, part);
    }
    assertMatch((await plan({ HF_TOKEN: "hf_hidden_other" })).err, /gated.*account of HF_TOKEN/);
    assertEquals(hub.served, []);
    assertEquals((await plan({ HF_TOKEN: ` ${TOKEN}\n` })).code, 0);
    // The file that the hub's own tools write.
    using home = temporaryFolder({ token: `${TOKEN}\n` });
    assertEquals((await plan({ HF_HOME: home.path })).code, 0);
    const broken = await plan({ HF_TOKEN: "hf_hidden with a space" });
    assertEquals(broken.code, 2);
    assertStringIncludes(broken.err, "set HF_TOKEN");
  });
});

Deno.test("what is not there is said with what to do", async () => {
  const one = repository(TINY, { members: [TOKEN] });
  await withHub(one, {}, async (hub, run) => {
    const err = async (address: string, env: Record<string, string> = {}) => {
      const ended = await run(["pack", address, "/nowhere/out", ...PAIRS], env);
      assert(ended.code > 0);
      return ended.err;
    };
    assertMatch(await err("hf://acme/tiny"), /knows no model acme\/tiny, or shows it.*HF_TOKEN/);
    assertMatch(await err("hf://acme/none", { HF_TOKEN: TOKEN }), /knows no model acme\/none/);
    assertMatch(await err("hf://acme/tiny@v9", { HF_TOKEN: TOKEN }), /no revision v9.*branch/);
    hub.options.instead = () => new Response(null, { status: 401 });
    assertMatch(
      await err("hf://acme/tiny", { HF_TOKEN: TOKEN }),
      /does not take the token.*HF_TOKEN/,
    );
    hub.options.instead = () => Response.json({ hello: "world" });
    assertMatch(await err("hf://acme/tiny"), /not what a model hub says.*HF_ENDPOINT/);
    assertMatch(await err("hf://tiny"), /hf:\/\/ORG\/NAME/);
    assertMatch(await err("hf://acme/tiny", { HF_ENDPOINT: "ftp://x" }), /HF_ENDPOINT/);
    const served = await run([
      "translate",
      "--from",
      "en",
      "--to",
      "de",
      "--model",
      "hf://acme/tiny",
    ]);
    assertMatch(served.err, /moqe pack hf:\/\//);
  });
});

Deno.test("repositories without weights to read say what they have, before anything is read", async () => {
  const gguf = {
    "m-Q4.gguf": new Uint8Array(9),
    "m-Q8.gguf": new Uint8Array(9),
    "onnx/a.onnx": new Uint8Array(3),
  };
  const one = repository(gguf, { card: { base_model: "acme/origin" } });
  await withHub(one, {}, async (hub, run) => {
    const pack = (...more: string[]) =>
      run(["pack", "hf://acme/tiny", "/nowhere/out", ...PAIRS, ...more]);
    const { err } = await pack();
    assertMatch(
      err,
      /GGUF \(2 files, as m-Q4\.gguf\), ONNX \(onnx\/a\.onnx\).*hf:\/\/acme\/origin/,
    );
    assertEquals([hub.asked.length, hub.served.length], [1, 0]);
    const { "tokenizer.json": _, ...slow } = TINY;
    one.commits[A] = slow;
    assertMatch((await pack()).err, /no tokenizer\.json.*save_pretrained/);
    // What another architecture's weights are does not matter: they are never asked for.
    one.commits[A] = {
      ...TINY,
      "config.json": new TextEncoder().encode('{"model_type":"llama"}'),
    };
    const unknown = await pack("--licence", "MIT");
    assertMatch(unknown.err, /"llama".*nllb-moe, m2m_100, switch_transformers, qwen3_moe/);
    assertEquals(hub.served, [], "no large file was asked for");
    one.commits[A] = TINY;
    const unlicensed = await pack();
    assertEquals(unlicensed.code, 2);
    assertMatch(unlicensed.err, /--licence is needed.*card names none/);
    assertEquals(hub.served, []);
  });
});

Deno.test("plan hf:// tells sizes and needs of a model of 54 billion weights in under 1 MB", async () => {
  const ranges = rangeServer(NLLB_MOE_54B, 2.6e9);
  const index = await (await fetch(`${ranges.url}model.safetensors.index.json`)).json();
  const shards = new Set(Object.values<string>(index.weight_map));
  const names = ["config.json", "tokenizer.json", "model.safetensors.index.json", ...shards];
  const files = Object.fromEntries(names.map((n) => [n, new URL(n, ranges.url)]));
  await withHub(repository(files), {}, async (hub, run) => {
    const { code, out, err } = await run(["plan", "hf://acme/tiny", "--trunk", "4bit"]);
    assertEquals([code, err], [0, ""]);
    assertMatch(out, /^total +54,500,569,088 .* 15\.3 GiB/m);
    assertMatch(out, /^8\d files of 20\d GiB, F32; \d{4} tensors are as config\.json says/m);
    for (const need of ["least --gpu-memory: 2.04 GiB", "least --host-memory: about"]) {
      assertStringIncludes(out, need);
    }
    assert(hub.sent > 100_000 && hub.sent < 1_000_000, `${hub.sent} bytes`);
  });
  await ranges.close();
});

Deno.test("plan hf:// of a small model, whose tensors are all looked at", async () => {
  const one = repository(TINY);
  await withHub(one, {}, async (hub, run) => {
    const { out } = await run(["plan", "hf://acme/tiny"]);
    assertStringIncludes(out, `hf://acme/tiny@${A}, licence cc-by-nc-4.0`);
    assertStringIncludes(out, "its card names the languages en, de, fr");
    assertMatch(out, /1 file of .*, F16; (\d+) tensors .* shapes of \1$/m);
    assertMatch(out, /^slots: 8 of /m);
    assert(hub.sent < 50_000, `${hub.sent}`);
    const config = JSON.parse(new TextDecoder().decode(TINY["config.json"] as Uint8Array));
    // An index that is too long to read is left to pack.
    const { "model.safetensors": weights, ...texts } = TINY;
    one.commits[A] = {
      ...texts,
      "model-1.safetensors": weights!,
      "model.safetensors.index.json": new Uint8Array(900_000).fill(32),
    };
    const long = await run(["plan", "hf://acme/tiny"]);
    assertEquals(long.code, 0, long.err);
    assertStringIncludes(long.out, "only pack looks at its tensors");
    assert(hub.sent < 50_000, `${hub.sent}`);
    const wider = JSON.stringify({ ...config, encoder_ffn_dim: config.encoder_ffn_dim + 64 });
    one.commits[A] = { ...TINY, "config.json": new TextEncoder().encode(wider) };
    const wrong = await run(["plan", "hf://acme/tiny"]);
    assertEquals(wrong.code, 2);
    assertMatch(wrong.err, /misshapen: encoder\.layers/);
  });
});
