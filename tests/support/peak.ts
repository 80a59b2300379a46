/** Memory of a process as Linux saw it. */

/** Peak resident bytes of a process so far (VmHWM). */
export async function peakBytes(pid: number): Promise<number> {
  return await statusBytes(pid, "VmHWM");
}

/** A line of /proc/PID/status that counts kB, in bytes. */
export async function statusBytes(pid: number, name: "VmHWM" | "VmRSS"): Promise<number> {
  const status = await Deno.readTextFile(`/proc/${pid}/status`);
  return Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, "m").exec(status)![1]) * 1024;
}
