/** Whether the C library gives large freed blocks back at once. */

/** glibc's setting that keeps it so; the tasks of deno.json and deploy/ set it. */
const SETTING = "MALLOC_MMAP_THRESHOLD_";

/**
 * glibc gives a freed block back to the system where it was mapped alone. Once one of some megabytes was freed it maps
 * no other of that size alone, unless SETTING fixes the threshold; then freed blocks stay resident between small ones.
 * Measured with blocks of 9 MiB: 221 MiB beyond a ledger of 1,018 MiB without it, 1 MiB with it.
 */
export function freesLargeBlocks(os: typeof Deno.build.os = Deno.build.os): boolean {
  if (os !== "linux") return true;
  // Asked first: reading a variable without leave would prompt or throw.
  const { state } = Deno.permissions.querySync({ name: "env", variable: SETTING });
  return state === "granted" && Deno.env.get(SETTING) !== undefined;
}
