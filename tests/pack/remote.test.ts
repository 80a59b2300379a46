/** From an HTTP mirror of torch shards straight into a bucket: killed halfway, gone on with, and small all the time. */
import { assert, assertEquals, assertGreater } from "@std/assert";
import { JOURNAL_NAME } from "../../src/pack/journal.ts";
import { verifyModel } from "../../src/pack/verify.ts";
import { parseManifest } from "../../src/store/manifest.ts";
import { makeBucket, s3Store } from "../support/buckets.ts";
import { needs } from "../support/needs.ts";
import { NLLB_MOE_54B } from "../support/nllb_54b.ts";
import { rangeServer } from "../support/range_server.ts";
import { startSwift } from "../support/swift.ts";

const MIB = 2 ** 20;
/** What the packer may hold, and a checkpoint that is larger. */
const LIMIT_BYTES = 240 * MIB;
const CONFIG = {
  ...NLLB_MOE_54B,
  vocab_size: 20_000,
  d_model: 512,
  encoder_layers: 2,
  decoder_layers: 2,
  encoder_ffn_dim: 2048,
  decoder_ffn_dim: 2048,
  num_experts: 12,
  encoder_sparse_step: 2,
  decoder_sparse_step: 2,
};
const CHILD = new URL("../support/pack_8gb_child.ts", import.meta.url).pathname;

/** Blocks of the finished objects in a journal's text. */
function journalled(text: string): number {
  const lines = text.split("\n").slice(1, -1);
  return lines.reduce((sum, line) => sum + JSON.parse(line).refs.length, 0);
}

Deno.test({
  name: "a checkpoint larger than the packer's memory, from HTTP to S3, killed in between",
  ...needs("linux", "swift"),
  async fn() {
    const swift = await startSwift();
    await makeBucket("remote", swift.env);
    const server = rangeServer(CONFIG, 100e6, "torch");
    assertGreater(server.bytes, LIMIT_BYTES);
    const store = s3Store("s3://remote/m", swift.env);
    /** Packs, until more than so many blocks are in the bucket's journal; the process's peak from outside. */
    const run = async (killPast: number) => {
      const child = new Deno.Command(Deno.execPath(), {
        args: ["run", "--no-check", "-A", CHILD, server.url, "s3://remote/m"],
        env: swift.env,
        stderr: "piped",
      }).spawn();
      let peak = 0, ended = false;
      const watch = async () => {
        while (!ended) {
          const status = await Deno.readTextFile(`/proc/${child.pid}/status`).catch(() => "");
          peak = Math.max(peak, Number(/VmHWM:\s*(\d+) kB/.exec(status)?.[1] ?? 0) * 1024);
          if (killPast < Infinity && journalled(await store.readNote(JOURNAL_NAME)) > killPast) {
            try {
              child.kill("SIGKILL");
            } catch { /* it has ended, which the test then says */ }
            break;
          }
          await new Promise((resolve) => setTimeout(resolve, 20));
        }
      };
      const [{ success, stderr }] = await Promise.all([
        child.output().finally(() => ended = true),
        watch(),
      ]);
      return { success, peak, said: new TextDecoder().decode(stderr) };
    };
    const first = await run(20);
    assertEquals(first.success, false);
    const sent = server.sent;
    const second = await run(Infinity);
    assert(second.success, second.said);
    assertGreater(Number(/resumed (\d+) blocks/.exec(second.said)?.[1]), 20);
    assert(server.sent - sent < 0.9 * server.bytes, "what was done was not done again");
    for (const { peak } of [first, second]) {
      assert(peak > 0 && peak < LIMIT_BYTES, `peak ${(peak / MIB).toFixed(0)} MiB`);
    }
    const text = new TextDecoder().decode(await store.readAll("manifest.json", 10 * MIB));
    const { faults, blocks } = await verifyModel(store, parseManifest(text, "it"));
    assertEquals([faults, blocks > 100], [[], true]);
    await server.close();
    await swift.close();
  },
});
