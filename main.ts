/** moqe: a Worker where this file is started as one, else the command line. */
import { KERNEL_WORKER_NAME } from "./src/backend/cpu/pool_protocol.ts";
import { isWorkerNamed } from "./src/base/workers.ts";
import { COMMANDS } from "./src/cli/commands.ts";
import { runProgram } from "./src/cli/program.ts";
import { ENGINE_WORKER_NAME } from "./src/engine/protocol.ts";
import { STORE_WORKER_NAME } from "./src/engine/store_protocol.ts";

if (isWorkerNamed(ENGINE_WORKER_NAME)) {
  await import("./src/engine/worker.ts");
} else if (isWorkerNamed(KERNEL_WORKER_NAME)) {
  await import("./src/backend/cpu/pool_worker.ts");
} else if (isWorkerNamed(STORE_WORKER_NAME)) {
  await import("./src/engine/store_worker.ts");
} else if (import.meta.main) {
  Deno.exit(await runProgram(Deno.args, COMMANDS));
}
