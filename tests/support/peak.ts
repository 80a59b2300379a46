/** Memory and processor time of a process as Linux saw them. */

/** Peak resident bytes of a process so far (VmHWM). */
export async function peakBytes(pid: number): Promise<number> {
  return await statusBytes(pid, "VmHWM");
}

/**
 * Resident bytes of a process now: those of its WASM memory (the device, on the CPU backend), and all others. The
 * memory is found by its size: no other writable mapping has `leastBytes`.
 */
export async function residentParts(
  pid: number,
  leastBytes: number,
): Promise<{ wasm: number; rest: number }> {
  let wasm = 0, rest = 0, large = false;
  for (const line of (await Deno.readTextFile(`/proc/${pid}/smaps`)).split("\n")) {
    const range = /^([0-9a-f]+)-([0-9a-f]+) (\S+) /.exec(line);
    if (range !== null) {
      const bytes = parseInt(range[2]!, 16) - parseInt(range[1]!, 16);
      large = range[3]!.startsWith("rw") && bytes >= leastBytes;
    }
    const rss = /^Rss: +(\d+) kB$/.exec(line);
    if (rss !== null && large) wasm += Number(rss[1]) * 1024;
    else if (rss !== null) rest += Number(rss[1]) * 1024;
  }
  return { wasm, rest };
}

/** Processor time of a process so far, all threads, in seconds (a tick is 10 ms). */
export async function processorSeconds(pid: number): Promise<number> {
  const stat = await Deno.readTextFile(`/proc/${pid}/stat`);
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

/** A line of /proc/PID/status that counts kB, in bytes. */
export async function statusBytes(pid: number, name: "VmHWM" | "VmRSS"): Promise<number> {
  const status = await Deno.readTextFile(`/proc/${pid}/status`);
  return Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, "m").exec(status)![1]) * 1024;
}
