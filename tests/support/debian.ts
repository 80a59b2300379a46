/** Debian packages that tests need: there, installed now, or a failure that says what to do. Never skipped. */

async function succeeds(command: string, args: string[], env: Record<string, string> = {}) {
  try {
    const { success, stdout, stderr } = await new Deno.Command(command, { args, env }).output();
    const decoder = new TextDecoder();
    return { success, text: decoder.decode(stdout) + decoder.decode(stderr) };
  } catch (error) {
    return { success: false, text: String(error) };
  }
}

/**
 * Makes sure that packages are there. As root they are installed; otherwise it throws with the line that does.
 *
 * @param why what they are needed for
 */
export async function needPackages(packages: readonly string[], why: string): Promise<void> {
  const missing: string[] = [];
  for (const name of packages) {
    const { success, text } = await succeeds("dpkg-query", ["-W", "-f", "${Status}", name]);
    if (!success || !text.includes("ok installed")) missing.push(name);
  }
  if (missing.length === 0) return;
  const line = `apt-get install -y --no-install-recommends ${missing.join(" ")}`;
  let said = "this needs root";
  if (Deno.uid() === 0) {
    const env = { DEBIAN_FRONTEND: "noninteractive" };
    const install = () => succeeds("apt-get", [...WAIT, ...line.split(" ").slice(1)], env);
    let last = await install();
    if (!last.success) {
      // The lists of packages may be missing or old.
      await succeeds("apt-get", [...WAIT, "update"], env);
      last = await install();
    }
    if (last.success) return;
    said = last.text.trim().split("\n").slice(-5).join("\n");
  }
  throw new Error(`${why}: as root, ${line}\n${said}`);
}

/** Another test run may be installing, too. */
const WAIT = ["-o", "DPkg::Lock::Timeout=300", "-q"];
