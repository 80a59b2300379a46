/** moqe: the engine's Worker where this file is started as one (a one-file bundle), else the command line. */
import { COMMANDS } from "./src/cli/commands.ts";
import { runProgram } from "./src/cli/program.ts";
import { ENGINE_WORKER_NAME } from "./src/engine/protocol.ts";

if ((globalThis as { name?: string }).name === ENGINE_WORKER_NAME) {
  await import("./src/engine/worker.ts");
} else if (import.meta.main) {
  Deno.exit(await runProgram(Deno.args, COMMANDS));
}
