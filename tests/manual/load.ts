/**
 * Many clients for minutes: no error but 429 and 503, flat memory, latencies, and tokens a second beside one client at a
 * time. deno run -A tests/manual/load.ts [--clients 64] [--minutes 10] [--serve "FLAGS"]
 */
import { parseArgs } from "node:util";
import { spawnMoqe } from "../cli/moqe.ts";
import { Served } from "../http/served.ts";
import { type LoadReport, loadText, runLoad } from "../support/load.ts";

const { values } = parseArgs({
  args: Deno.args,
  options: {
    clients: { type: "string", default: "64" },
    minutes: { type: "string", default: "10" },
    serve: { type: "string", default: "" },
  },
});
const flags = values.serve.split(" ").filter((word) => word !== "");
const served = await Served.of(spawnMoqe(["serve", "--port", "0", "--beams", "1", ...flags]));
const show = (title: string, r: LoadReport) => console.log(`${title}\n${loadText(r)}\n`);
try {
  const seconds = 30;
  await runLoad(served, { clients: 1, seconds: 10 });
  const alone = await runLoad(served, { clients: 1, seconds });
  show("one client at a time", alone);
  const sixteen = await runLoad(served, { clients: 16, seconds });
  show("16 clients", sixteen);
  const ratio = sixteen.tokensPerSecond / alone.tokensPerSecond;
  console.log(`16 clients beside one: ${ratio.toFixed(2)} x tokens a second\n`);
  const clients = Number(values.clients);
  show(
    `${clients} clients`,
    await runLoad(served, { clients, seconds: 60 * Number(values.minutes) }),
  );
} finally {
  console.log(`exit code ${await served.end()}`);
}
