/** Installs the Debian packages of missing parts: `deno task test --install`, and nothing else, comes here. */
import { installCommand, type Part, type PartName, PARTS } from "./parts.ts";

/** Says what it installs, then does so. Where that fails it says why; the parts are then missing still. */
export async function installParts(names: readonly PartName[]): Promise<void> {
  const parts = names.map((name): Part => PARTS[name]).filter((part) => part.packages.length > 0);
  if (parts.length === 0) return;
  const command = installCommand(parts.flatMap((part) => part.packages));
  console.log("Installing what tests need and this machine lacks, from Debian:");
  for (const { what, packages } of parts) console.log(`  ${packages.join(" ")}: ${what}`);
  console.log(`  ${command.join(" ")}`);
  console.log("Debian starts what is a service among them; the tests start their own.\n");
  if (await succeeds(command)) return;
  // The lists of packages may be missing or old.
  await succeeds([...command.slice(0, command.indexOf("install")), "update"]);
  if (!await succeeds(command)) console.error("They could not be installed.\n");
}

/** Whether a command of apt-get ends well; where nobody can be asked, neither it nor sudo asks. */
async function succeeds([program, ...args]: readonly string[]): Promise<boolean> {
  if (program === "sudo" && !Deno.stdin.isTerminal()) args.unshift("-n");
  // Another test run may be installing, too.
  const lock = args.indexOf("apt-get") + 1;
  args.splice(lock, 0, "-q", "-o", "DPkg::Lock::Timeout=300");
  const env = { DEBIAN_FRONTEND: "noninteractive" };
  try {
    const { success } = await new Deno.Command(program!, { args, env }).spawn().status;
    return success;
  } catch (error) {
    console.error(`${program} does not start: ${(error as Error).message}`);
    return false;
  }
}
