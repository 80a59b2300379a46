/**
 * A GPU that refuses memory, refuses a command, or goes away under load: whoever waited is answered 503 and told why,
 * the model comes back on a new device, and answers as before; the process lives through all of it.
 */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { modelAddress } from "../../src/cli/model.ts";
import { type Disturbance, TOLD } from "../support/disturb.ts";
import { testNeeding } from "../support/needs.ts";
import { after, Served } from "./served.ts";

const test = testNeeding("vulkan");

const SERVICE = new URL("../support/disturbed_service.ts", import.meta.url).pathname;
const CONFIG = new URL("../../deno.json", import.meta.url).pathname;
const SIGNALS = { memory: "SIGUSR2", validation: "SIGWINCH", loss: "SIGHUP" } as const;
// One model, so that the one device is that of whoever answers.
const MODEL = ["--model", modelAddress(undefined)];
const FLAGS = ["--port", "0", "--device", "webgpu", "--detection", "off", "--host-memory", "1GiB"];
const pair = { source: "en", target: "de", beams: 1 };
const text = "Open the file in the window and save it to another folder of this computer.";

test("a GPU that refuses or goes away: 503 with a reason, then the model answers again", async () => {
  const served = await Served.of(
    new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "--no-check", "--config", CONFIG, SERVICE, ...FLAGS, ...MODEL],
      env: { NO_COLOR: "1" },
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn(),
  );
  const expected = await (await served.translate({ q: text, ...pair })).json();
  for (const [name, signal] of Object.entries(SIGNALS)) {
    served.child.kill(signal);
    while (!served.output.out.includes(`${name} is next`)) await after(5);
    const refused = await served.translate({ q: text, ...pair }), body = await refused.json();
    assertEquals([refused.status, refused.headers.has("Retry-After")], [503, true], body.error);
    assertMatch(body.error, TOLD[name as Disturbance]);
    assertEquals((await fetch(`${served.url}/live`)).status, 200, "it runs");
    while (
      (await fetch(`${served.url}/ready`).then((r) => r.text().then(() => r.status))) !== 200
    ) {
      await after(20);
    }
    const again = await served.translate({ q: text, ...pair });
    assertEquals([again.status, await again.json()], [200, expected]);
  }
  assert(await served.metric(`moqe_ledger_used_bytes{budget="gpu"}`) > 0);
  assertEquals(await served.end(), 0);
});
