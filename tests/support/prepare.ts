/**
 * Before the tests: they run the real kernels, so there must be a Vulkan driver. Where there is none, Mesa's software
 * driver is installed if this is root on a Debian system; else the line that does is printed, and the run fails.
 * So is the S3 server that some tests start: here, before any of them needs it.
 */
import { adapterName, findAdapter } from "../../src/backend/webgpu/adapter.ts";
import { needPackages } from "./debian.ts";
import { needSwift } from "./swift.ts";

const PACKAGE = "mesa-vulkan-drivers";

const again = Deno.args.includes("--again");
const adapter = await findAdapter();
if (adapter !== undefined) {
  console.log(`GPU tests run on ${adapterName(adapter)}`);
} else if (!again) {
  console.log(`No Vulkan driver found: ${PACKAGE} is Mesa's software driver`);
  await needPackages([PACKAGE], "the tests run the GPU kernels, which need a Vulkan driver");
  // A driver that was not there when this process looked is found by another one.
  const args = ["run", "-A", import.meta.filename!, "--again"];
  const { code } = await new Deno.Command(Deno.execPath(), { args }).spawn().status;
  if (code !== 0) Deno.exit(code);
} else {
  console.error(
    "No Vulkan driver is found, although Mesa's is installed: the GPU tests cannot run",
  );
  Deno.exit(1);
}

if (!again) {
  try {
    await needSwift();
  } catch (error) {
    // The tests that start it will fail and say the same; the others run.
    console.error((error as Error).message);
  }
}
