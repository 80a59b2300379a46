/** Checkpoints by their name on a hub, as a person packs them: from a local server that answers as the hub does. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { goldenFolder } from "../support/golden.ts";
import type { HubOptions } from "../support/hub_server.ts";
import { contents } from "../support/packed.ts";
import { temporaryFolder } from "../support/safetensors.ts";
import { A, B, CARD, filesOf, PAIRS, repository, TINY, TOKEN, withHub } from "./hub.ts";
import { moqe } from "./moqe.ts";

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

const HUBS = { baseline: {}, sharded: { blobs: false, prefix: "/a/mirror" } };
for (const [name, options] of Object.entries(HUBS)) {
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
