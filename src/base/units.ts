/** Sizes and durations as people write and read them. */

const UNITS: Record<string, number> = {
  "": 1,
  b: 1,
  kb: 1e3,
  mb: 1e6,
  gb: 1e9,
  tb: 1e12,
  kib: 2 ** 10,
  mib: 2 ** 20,
  gib: 2 ** 30,
  tib: 2 ** 40,
};

/** "3GiB", "512 MiB", "1.5e9" to bytes. Throws RangeError with the accepted forms. */
export function parseBytes(text: string): number {
  const match = /^\s*(\d+(?:\.\d+)?(?:e\d+)?)\s*([a-z]*)\s*$/i.exec(text);
  const unit = match === null ? undefined : UNITS[match[2]!.toLowerCase()];
  if (match === null || unit === undefined) {
    throw new RangeError(`cannot read a size from "${text}": write it as 512MiB, 3GiB or 1500MB`);
  }
  return Math.floor(Number(match[1]) * unit);
}

/** Bytes with a binary unit and three significant digits: 9457664 is "9.02 MiB". */
export function formatBytes(bytes: number): string {
  const names = ["B", "KiB", "MiB", "GiB", "TiB"];
  let value = bytes, i = 0;
  while (Math.abs(value) >= 1024 && i < names.length - 1) {
    value /= 1024;
    i++;
  }
  return `${i === 0 ? value : value.toPrecision(value >= 1000 ? 4 : 3)} ${names[i]}`;
}

/** A timer set to more ends at once. */
const MOST_MS = 2 ** 31 - 1;

/** "90s", "5m", "1500ms" to milliseconds. Throws RangeError with the accepted forms. */
export function parseDurationMs(text: string): number {
  const match = /^\s*(\d+(?:\.\d+)?)\s*(ms|s|m|h)\s*$/i.exec(text);
  if (match === null) {
    throw new RangeError(`cannot read a duration from "${text}": write it as 500ms, 30s, 5m or 1h`);
  }
  const scale = { ms: 1, s: 1e3, m: 6e4, h: 36e5 }[match[2]!.toLowerCase()]!;
  const ms = Number(match[1]) * scale;
  if (ms > MOST_MS) throw new RangeError(`"${text}" is longer than timers run: 596h at most`);
  return ms;
}

/** Seconds as "1h 02m", "3m 05s" or "12.3s". */
export function formatSeconds(seconds: number): string {
  if (!Number.isFinite(seconds)) return "?";
  if (seconds < 60) return `${seconds.toFixed(1)}s`;
  const s = Math.round(seconds);
  const pad = (n: number) => String(n).padStart(2, "0");
  if (s < 3600) return `${Math.floor(s / 60)}m ${pad(s % 60)}s`;
  return `${Math.floor(s / 3600)}h ${pad(Math.floor((s % 3600) / 60))}m`;
}

/** The least multiple of `step` that is not below `n`. */
export function alignUp(n: number, step: number): number {
  return Math.ceil(n / step) * step;
}
