/** Checkpoints by their name on a hub, as a person packs them: against a local server that answers as the hub does. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { goldenFolder } from "../support/golden.ts";
import {
  type HubOptions,
  type HubServer,
  hubServer,
  type Repository,
} from "../support/hub_server.ts";
import { NLLB_MOE_54B } from "../support/nllb_54b.ts";
import { contents } from "../support/packed.ts";
import { rangeServer } from "../support/range_server.ts";
import { temporaryFolder } from "../support/safetensors.ts";
import { type Ended, moqe } from "./moqe.ts";

const A = "a".repeat(40), B = "b".repeat(40);
const PAIRS = ["--pairs", "en-de"];
const TOKEN = "hf_hidden_token";
const CARD = { license: "cc-by-nc-4.0", language: ["en", "de", "fr"] };
type Files = Repository["commits"][string];

function filesOf(folder: string): Files {
  const names = [...Deno.readDirSync(folder)].map((e) => e.name).filter((n) => n !== "golden.json");
  return Object.fromEntries(names.map((n) => [n, Deno.readFileSync(`${folder}/${n}`)]));
}

function repository(files: Files, more: Partial<Repository> = {}): Repository {
  return { commits: { [A]: files }, branches: { main: A }, card: CARD, ...more };
}

const TINY = filesOf(goldenFolder("baseline"));

/** Runs a test against a hub with one repository, acme/tiny. */
async function withHub(
  one: Repository,
  options: HubOptions,
  test: (
    hub: HubServer,
    run: (args: string[], env?: Record<string, string>) => Promise<Ended>,
  ) => Promise<void>,
): Promise<void> {
  const hub = hubServer({ "acme/tiny": one }, options);
  // No token of the person who runs the tests.
  using home = temporaryFolder();
  const run = async (args: string[], env: Record<string, string> = {}) => {
    const ended = await moqe(args, {
      env: { HF_ENDPOINT: hub.endpoint, HF_TOKEN: "", HF_HOME: home.path, ...env },
    });
    const said = ended.out + ended.err;
    assert(!/hidden|Signature/i.test(said), `no secret is told: ${said}`);
    assert(!/^ +at /m.test(ended.err), `no stack: ${ended.err}`);
    return ended;
  };
  try {
    await test(hub, run);
  } finally {
    await hub.close();
  }
}

function manifestOf(folder: string) {
  return JSON.parse(Deno.readTextFileSync(`${folder}/manifest.json`));
}

/** Packs a folder of this machine under the same name and licence; what must come of it but for its provenance. */
async function packedHere(checkpoint: string, out: string, more: string[] = []) {
  const { code, err } = await moqe(
    ["pack", checkpoint, out, ...PAIRS, "--licence", "cc-by-nc-4.0", "--name", "tiny", ...more],
  );
  assertEquals([code, err], [0, ""]);
}

function assertSamePack(hub: string, here: string, commit: string): void {
  const [a, b] = [contents(hub), contents(here)];
  assertEquals([...a.keys()], [...b.keys()]);
  for (const name of a.keys()) if (name !== "manifest.json") assertEquals(a.get(name), b.get(name));
  const { provenance, ...rest } = manifestOf(hub),
    { provenance: plain, ...others } = manifestOf(here);
  assertEquals(JSON.stringify(rest), JSON.stringify(others));
  const { checkpoint, languages, ...how } = provenance;
  assertEquals([checkpoint, languages], [`hf://acme/tiny@${commit}`, CARD.language]);
  assertEquals({ ...how, checkpoint: "tiny" }, plain);
}

for (
  const [name, options] of [["baseline", {}], ["sharded", {
    blobs: false,
    prefix: "/a/mirror",
  }]] as const
) {
  Deno.test(`pack hf:// gives the bytes that packing the folder gives: ${name}`, async () => {
    using folder = temporaryFolder();
    const from = goldenFolder(name), [hubs, own] = [`${folder.path}/hub`, `${folder.path}/own`];
    await withHub(repository(filesOf(from)), options, async (hub, run) => {
      const { code, out, err } = await run(["pack", "hf://acme/tiny", hubs, ...PAIRS], {
        HF_TOKEN: TOKEN,
      });
      assertEquals([code, err], [0, ""]);
      assertStringIncludes(out, `from hf://acme/tiny@${A}, licence cc-by-nc-4.0`);
      await packedHere(from, own);
      assertSamePack(hubs, own, A);
      assert(
        hub.asked.every((r) => r.authorization === `Bearer ${TOKEN}`),
        "the hub sees the token",
      );
      assert(hub.served.every((r) => r.authorization === null), "the second origin does not");
      const files = Object.keys(filesOf(from)).length;
      const ranges = hub.served.filter((r) => r.path.endsWith(".safetensors")).length;
      assert(ranges > 2 * files, `${ranges} ranges`);
      assert(hub.asked.length <= 3 * files, `a redirect a file, not a range: ${hub.asked.length}`);
    });
  });
}

Deno.test("a signed address that expires is asked for again", async () => {
  using folder = temporaryFolder();
  await withHub(repository(TINY), { uses: 5 }, async (hub, run) => {
    const { code, err } = await run(["pack", "hf://acme/tiny/", `${folder.path}/a`, ...PAIRS]);
    assertEquals([code, err], [0, ""]);
    const redirects = hub.asked.filter((r) => r.path.endsWith("model.safetensors")).length;
    const ranges = hub.served.filter((r) => r.path.endsWith("model.safetensors")).length;
    assert(redirects > 3 && redirects < ranges / 3, `${redirects} of ${ranges}`);
    await packedHere(goldenFolder("baseline"), `${folder.path}/b`);
    assertSamePack(`${folder.path}/a`, `${folder.path}/b`, A);
  });
});

Deno.test("a branch that moves is read at the commit it was at, also by a pack that goes on later", async () => {
  using folder = temporaryFolder();
  const from = goldenFolder("every_layer"), other = filesOf(from);
  const weights = (other["model.safetensors"] as Uint8Array<ArrayBuffer>).slice();
  weights[weights.length - 30]! ^= 64;
  other["model.safetensors"] = weights;
  const moving = repository(filesOf(from), {
    commits: { [A]: filesOf(from), [B]: { ...other } },
    branches: { main: A, dev: B },
  });
  await withHub(moving, {}, async (hub, run) => {
    const small = ["--object-size", "8KiB"], own = `${folder.path}/own`;
    await packedHere(from, own, small);
    const pack = (out: string, ...more: string[]) => {
      const [address = "hf://acme/tiny", ...flags] = more;
      return run(["pack", address, `${folder.path}/${out}`, ...PAIRS, ...small, ...flags]);
    };
    // It moves while the weights are read.
    let left = 20;
    const move = () => {
      if (left-- === 0) moving.branches.main = B;
      return undefined;
    };
    hub.options.insteadOfFile = move;
    assertEquals((await pack("moved")).code, 0);
    assertEquals(moving.branches.main, B);
    assertSamePack(`${folder.path}/moved`, own, A);
    const most = Math.round(hub.served.length * 0.8);
    // It moves between two runs of which the first is cut off.
    moving.branches.main = A;
    left = most;
    const cut = () => {
      move();
      return left < 0 ? new Response(null, { status: 403 }) : undefined;
    };
    hub.options.insteadOfFile = cut;
    const first = await pack("cut");
    assertEquals(first.code, 1);
    assertStringIncludes(first.err, `hf://acme/tiny@${A}/model.safetensors`);
    assertEquals(moving.branches.main, B);
    hub.options.insteadOfFile = () => undefined;
    const another = await pack("cut", "hf://acme/tiny@dev");
    assertEquals(another.code, 2);
    assertStringIncludes(another.err, "it is of another checkpoint");
    const second = await pack("cut");
    assertEquals(second.code, 0, second.err);
    assertStringIncludes(second.err, `going on with acme/tiny at commit ${A}`);
    assertMatch(second.out, /\d+ blocks of an earlier, interrupted run were kept/);
    assertSamePack(`${folder.path}/cut`, own, A);
    // --anew takes the branch as it is.
    left = most;
    moving.branches.main = A;
    hub.options.insteadOfFile = cut;
    assertEquals((await pack("anew")).code, 1);
    hub.options.insteadOfFile = () => undefined;
    assertEquals((await pack("anew", "hf://acme/tiny", "--anew")).code, 0);
    const { provenance, objects } = manifestOf(`${folder.path}/anew`);
    assertEquals(provenance.checkpoint, `hf://acme/tiny@${B}`);
    assert(JSON.stringify(objects) !== JSON.stringify(manifestOf(own).objects));
  });
});

Deno.test("too many requests are waited for, as long as the hub says, and said; too long is an error", async () => {
  using folder = temporaryFolder();
  let busy = 3;
  const wait: Record<string, string>[] = [{ "retry-after": "1" }, { ratelimit: '"api";r=0;t=1' }];
  const instead = () =>
    busy-- % 2 === 1
      ? new Response(null, { status: 429, headers: wait[busy < 2 ? 1 : 0]! })
      : undefined;
  await withHub(repository(TINY), { instead }, async (hub, run) => {
    const start = performance.now();
    const { code, err } = await run(["pack", "hf://acme/tiny", `${folder.path}/a`, ...PAIRS]);
    assertEquals(code, 0, err);
    assertEquals(err.match(/^moqe: 127\.0\.0\.1:\d+ asks to wait 1 s$/gm)?.length, 2);
    assert(performance.now() - start > 2000);
    busy = 1;
    wait[1] = { "retry-after": "3600" };
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
      "config.json": new TextEncoder().encode('{"model_type":"qwen3_moe"}'),
    };
    const unknown = await pack("--licence", "MIT");
    assertMatch(unknown.err, /"qwen3_moe".*nllb-moe, m2m_100, switch_transformers/);
    assertEquals(hub.served, [], "no large file was asked for");
    one.commits[A] = TINY;
    const unlicensed = await pack();
    assertEquals(unlicensed.code, 2);
    assertMatch(unlicensed.err, /--licence is needed.*card names none/);
    assertEquals(hub.served, []);
  });
});

Deno.test("the card names the licence and the languages that --pairs may be of", async () => {
  using folder = temporaryFolder();
  const one = repository(TINY, {
    card: {
      license: "other",
      license_name: "nllb",
      license_link: "https://a.example/l",
      language: "en",
    },
  });
  await withHub(one, {}, async (hub, run) => {
    const { code, err } = await run(["pack", "hf://acme/tiny", `${folder.path}/a`]);
    assertEquals(code, 2);
    assertMatch(err, /--pairs is needed.*its card names the language en/);
    one.card!.language = Array.from({ length: 30 }, (_, i) => `x${i}`);
    assertMatch(
      (await run(["calibrate", "hf://acme/tiny", "LICENSE"])).err,
      /languages x0, .* and 6 more/,
    );
    assertEquals(hub.served, []);
    const packed = await run(["pack", "hf://acme/tiny@main", `${folder.path}/a`, ...PAIRS]);
    assertEquals(packed.code, 0, packed.err);
    const { licence, name } = manifestOf(`${folder.path}/a`);
    assertEquals([licence, name], [{ id: "nllb", text: "https://a.example/l" }, "tiny"]);
  });
});

Deno.test("files that are not the commit's are refused", async () => {
  using folder = temporaryFolder();
  await withHub(repository(TINY), {}, async (hub, run) => {
    const refused = async (wrong: Partial<HubOptions>) => {
      Object.assign(hub.options, { headers: undefined, insteadOfFile: undefined }, wrong);
      const { code, err } = await run(["pack", "hf://acme/tiny", `${folder.path}/a`, ...PAIRS]);
      assertEquals([code, [...Deno.readDirSync(folder.path)]], [1, []]);
      return err;
    };
    const set = (name: string, value: string) => ({
      headers: (headers: Headers) => headers.has("x-linked-etag") && headers.set(name, value),
    });
    assertStringIncludes(await refused(set("x-repo-commit", B)), "another commit");
    assertStringIncludes(await refused(set("x-linked-etag", `"${"0".repeat(64)}"`)), "hash");
    const bytes = (TINY["tokenizer.json"] as Uint8Array<ArrayBuffer>).slice();
    bytes[99]! ^= 1;
    const headers = { "content-range": `bytes 0-${bytes.length - 1}/${bytes.length}` };
    const damaged = () => new Response(bytes, { status: 206, headers });
    assertStringIncludes(await refused({ insteadOfFile: damaged }), "not those of the commit");
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
    assertMatch(out, /1 file of .*, F32; (\d+) tensors .* shapes of \1$/m);
    assertMatch(out, /^slots: 8 of /m);
    assert(hub.sent < 50_000, `${hub.sent}`);
    const config = JSON.parse(new TextDecoder().decode(TINY["config.json"] as Uint8Array));
    const wider = JSON.stringify({ ...config, encoder_ffn_dim: config.encoder_ffn_dim + 64 });
    one.commits[A] = { ...TINY, "config.json": new TextEncoder().encode(wider) };
    const wrong = await run(["plan", "hf://acme/tiny"]);
    assertEquals(wrong.code, 2);
    assertMatch(wrong.err, /misshapen: encoder\.layers/);
  });
});

Deno.test("calibrate takes a hub's checkpoint", async () => {
  using folder = temporaryFolder({ texts: "One sentence.\nAnother one.\n" });
  await withHub(repository(filesOf(goldenFolder("every_layer"))), {}, async (_, run) => {
    const { code, err, out } = await run([
      ...["calibrate", "hf://acme/tiny", `${folder.path}/texts`, ...PAIRS, "--samples", "16"],
      ...["--threads", "1", "--output", `${folder.path}/c`],
    ]);
    assertEquals([code, err], [0, ""]);
    assertStringIncludes(out, "2 texts, 16 experts");
  });
});
