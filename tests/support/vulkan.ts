/**
 * Before the tests: they run the real kernels, so there must be a Vulkan driver. Where there is none, Mesa's software
 * driver is installed if this is root on a Debian system; else the line that does is printed, and the run fails.
 */
import { adapterName, findAdapter } from "../../src/backend/webgpu/adapter.ts";

const PACKAGE = "mesa-vulkan-drivers";

/** True when the command ran and ended well. Its output is this program's. */
async function runs(...command: string[]): Promise<boolean> {
  try {
    const env = { DEBIAN_FRONTEND: "noninteractive" };
    const { success } = await new Deno.Command(command[0]!, { args: command.slice(1), env })
      .spawn().status;
    return success;
  } catch {
    return false;
  }
}

function isRootOnDebian(): boolean {
  try {
    return Deno.uid() === 0 && Deno.statSync("/etc/debian_version").isFile;
  } catch {
    return false;
  }
}

const again = Deno.args.includes("--again");
const adapter = await findAdapter();
if (adapter !== undefined) {
  console.log(`GPU tests run on ${adapterName(adapter)}`);
} else if (!again && isRootOnDebian()) {
  console.log(`No Vulkan driver found: installing ${PACKAGE}, Mesa's software driver`);
  const installed = await runs("apt-get", "install", "-y", "-q", PACKAGE) ||
    await runs("apt-get", "update", "-q") &&
      await runs("apt-get", "install", "-y", "-q", PACKAGE);
  // A driver that was not there when this process looked is found by another one.
  const found = installed &&
    await runs(Deno.execPath(), "run", "-A", import.meta.filename!, "--again");
  if (!found) Deno.exit(1);
} else {
  console.error(
    `No Vulkan driver found, and the tests run the GPU kernels. Install Mesa's software driver:\n` +
      `  sudo apt-get update && sudo apt-get install -y ${PACKAGE}`,
  );
  Deno.exit(1);
}
