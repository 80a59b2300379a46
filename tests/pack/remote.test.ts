/** From an HTTP mirror of torch shards straight into a bucket: killed halfway, gone on with, and small all the time. */
import { assert, assertEquals, assertGreater } from "@std/assert";
import { verifyModel } from "../../src/pack/verify.ts";
import { parseManifest } from "../../src/store/manifest.ts";
import { makeBucket, s3Store } from "../support/buckets.ts";
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

Deno.test({
  name: "a checkpoint larger than the packer's memory, from HTTP to S3, killed in between",
  ignore: Deno.build.os !== "linux",
  async fn() {
    const swift = await startSwift();
    await makeBucket("remote", swift.env);
    const server = rangeServer(CONFIG, 100e6, "torch");
    assertGreater(server.bytes, LIMIT_BYTES);
    /** Packs until the server has sent so much; the process's peak from outside. */
    const run = async (killAtBytes: number) => {
      const child = new Deno.Command(Deno.execPath(), {
        args: ["run", "--no-check", "-A", CHILD, server.url, "s3://remote/m"],
        env: swift.env,
        stderr: "piped",
      }).spawn();
      let peak = 0;
      const watch = setInterval(() => {
        try {
          const status = Deno.readTextFileSync(`/proc/${child.pid}/status`);
          peak = Math.max(peak, Number(/VmHWM:\s*(\d+) kB/.exec(status)?.[1] ?? 0) * 1024);
          if (server.sent >= killAtBytes) child.kill("SIGKILL");
        } catch { /* it has ended */ }
      }, 20);
      const { success, stderr } = await child.output();
      clearInterval(watch);
      return { success, peak, said: new TextDecoder().decode(stderr) };
    };
    const first = await run(server.bytes * 0.6);
    assertEquals(first.success, false);
    const second = await run(Infinity);
    assert(second.success, second.said);
    assertGreater(Number(/resumed (\d+) blocks/.exec(second.said)?.[1]), 20);
    assert(server.sent < 1.5 * server.bytes, "what was done was not done again");
    for (const { peak } of [first, second]) {
      assert(peak > 0 && peak < LIMIT_BYTES, `peak ${(peak / MIB).toFixed(0)} MiB`);
    }
    const store = s3Store("s3://remote/m", swift.env);
    const text = new TextDecoder().decode(await store.readAll("manifest.json", 10 * MIB));
    const { faults, blocks } = await verifyModel(store, parseManifest(text, "it"));
    assertEquals([faults, blocks > 100], [[], true]);
    await server.close();
    await swift.close();
  },
});
