/**
 * `moqe serve` on a GPU whose device is disturbed in the midst of the next request: SIGUSR2 memory, SIGWINCH validation,
 * SIGHUP loss. The engine runs on this thread, where its device can be reached.
 */
import { COMMANDS } from "../../src/cli/commands.ts";
import { runProgram } from "../../src/cli/program.ts";
import { type Disturbance, DISTURBANCES } from "./disturb.ts";

const SIGNALS: Record<Disturbance, Deno.Signal> = {
  memory: "SIGUSR2",
  validation: "SIGWINCH",
  loss: "SIGHUP",
};
/** Submissions until it happens: a request has more of them, and is not answered before. */
const SUBMISSIONS = 4;

Object.defineProperty(globalThis, "Worker", { value: undefined });
let device: GPUDevice | undefined, next: { name: Disturbance; left: number } | undefined;

const { requestDevice } = GPUAdapter.prototype;
GPUAdapter.prototype.requestDevice = async function (descriptor) {
  return device = await requestDevice.call(this, descriptor);
};
const { submit } = GPUQueue.prototype;
GPUQueue.prototype.submit = function (commands) {
  submit.call(this, commands);
  if (next === undefined || --next.left > 0) return;
  DISTURBANCES[next.name](device!);
  next = undefined;
};
for (const [name, signal] of Object.entries(SIGNALS) as [Disturbance, Deno.Signal][]) {
  Deno.addSignalListener(signal, () => {
    next = { name, left: SUBMISSIONS };
    console.log(`${name} is next`);
  });
}
Deno.exit(await runProgram(["serve", ...Deno.args], COMMANDS));
