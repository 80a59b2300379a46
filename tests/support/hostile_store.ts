/** A small HTTP server of byte ranges that misbehaves on demand. */

/** What to do to one request; the default is to serve it properly. */
export type Fault =
  | { kind: "none" }
  /** Sends half of the body under the whole Content-Length, then cuts the connection. */
  | { kind: "truncate" }
  /** Ends the body early with a Content-Length that agrees. */
  | { kind: "short" }
  | { kind: "flip" }
  /** Cuts the connection before any answer. */
  | { kind: "reset" }
  | { kind: "status"; status: number; retryAfter?: string }
  /** Answers 200 with the whole object. */
  | { kind: "ignore_range" }
  /** Answers 206 with the range beside the one asked for. */
  | { kind: "wrong_range" }
  /** Sends more bytes than were asked for. */
  | { kind: "long" }
  | { kind: "slow"; ms: number }
  /** Sends the head and one byte, then nothing. */
  | { kind: "stall" }
  /** Sends a byte every so many milliseconds, never silent for long and never done. */
  | { kind: "trickle"; ms: number }
  | { kind: "gzip" }
  | { kind: "redirect"; to: string };

export interface Seen {
  path: string;
  range: string | null;
  noCache: boolean;
  authorization: string | null;
}

export interface HostileStore {
  readonly url: string;
  readonly seen: Seen[];
  /** Most requests under way at once. */
  readonly peak: number;
  /** Requests that began while another one for some of the same bytes was under way. */
  readonly overlaps: number;
  close(): Promise<void>;
}

/**
 * Serves `files` by name. `faultOf` is asked for each request with its number (from 0) and its record.
 */
export function hostileStore(
  files: Record<string, Uint8Array<ArrayBuffer>>,
  faultOf: (request: number, seen: Seen) => Fault = () => ({ kind: "none" }),
): HostileStore {
  const seen: Seen[] = [];
  let peak = 0, overlaps = 0;
  const active = new Set<Seen>();
  const cuts = new Set<Deno.Conn>();
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const serve = async (conn: Deno.Conn) => {
    cuts.add(conn);
    try {
      for (let head = await readHead(conn); head !== undefined; head = await readHead(conn)) {
        const record = parse(head);
        const fault = faultOf(seen.push(record) - 1, record);
        if ([...active].some((other) => overlap(other, record))) overlaps++;
        peak = Math.max(peak, active.add(record).size);
        try {
          if (!await answer(conn, files, record, fault)) return;
        } finally {
          active.delete(record);
        }
      }
    } catch {
      // The client went away; that is its right.
    } finally {
      cuts.delete(conn);
      try {
        conn.close();
      } catch { /* closed by close() */ }
    }
  };
  const accepting = (async () => {
    try {
      for await (const conn of listener) serve(conn);
    } catch { /* the listener was closed */ }
  })();
  return {
    url: `http://127.0.0.1:${(listener.addr as Deno.NetAddr).port}/`,
    seen,
    get peak() {
      return peak;
    },
    get overlaps() {
      return overlaps;
    },
    close: async () => {
      listener.close();
      for (const conn of cuts) {
        cuts.delete(conn);
        try {
          conn.close();
        } catch { /* already closed */ }
      }
      await accepting;
    },
  };
}

/** Whether two requests ask for some of the same bytes. */
function overlap(a: Seen, b: Seen): boolean {
  const bounds = ({ range }: Seen) => {
    const asked = /^bytes=(\d+)-(\d+)$/.exec(range ?? "");
    return asked === null ? [0, Infinity] : [Number(asked[1]), Number(asked[2])];
  };
  const [aFirst, aLast] = bounds(a), [bFirst, bLast] = bounds(b);
  return a.path === b.path && aFirst! <= bLast! && bFirst! <= aLast!;
}

async function readHead(conn: Deno.Conn): Promise<string | undefined> {
  const buffer = new Uint8Array(8192);
  let text = "";
  while (!text.includes("\r\n\r\n")) {
    const n = await conn.read(buffer);
    if (n === null) return undefined;
    text += new TextDecoder().decode(buffer.subarray(0, n));
  }
  return text;
}

function parse(head: string): Seen {
  const header = (name: string) =>
    new RegExp(`^${name}: *(.*)$`, "im").exec(head)?.[1]?.trim() ?? null;
  return {
    path: decodeURIComponent(/^GET ([^ ?]+)/.exec(head)?.[1] ?? ""),
    range: header("range"),
    noCache: header("cache-control") === "no-cache",
    authorization: header("authorization"),
  };
}

/** Answers one request; false where the connection is to be cut. */
async function answer(
  conn: Deno.Conn,
  files: Record<string, Uint8Array<ArrayBuffer>>,
  request: Seen,
  fault: Fault,
): Promise<boolean> {
  if (fault.kind === "reset") return false;
  if (fault.kind === "slow") await new Promise((r) => setTimeout(r, fault.ms));
  if (fault.kind === "redirect") {
    return await send(conn, "302 Found", { location: fault.to }, new Uint8Array(0));
  }
  if (fault.kind === "status") {
    const headers = fault.retryAfter === undefined ? {} : { "retry-after": fault.retryAfter };
    return await send(conn, `${fault.status} Trouble`, headers, new Uint8Array(0));
  }
  const file = files[request.path.slice(1)];
  if (file === undefined) return await send(conn, "404 Not Found", {}, new Uint8Array(0));
  const asked = /^bytes=(\d+)-(\d+)$/.exec(request.range ?? "");
  if (asked === null || fault.kind === "ignore_range") {
    return await sendBody(conn, "200 OK", {}, file, fault);
  }
  const shift = fault.kind === "wrong_range" ? 1 : 0;
  const first = Number(asked[1]) + shift, last = Number(asked[2]) + shift;
  if (first >= file.length) return await send(conn, "416 No", {}, new Uint8Array(0));
  const range = `bytes ${first}-${Math.min(last, file.length - 1)}/${file.length}`;
  return await sendBody(
    conn,
    "206 Partial Content",
    { "content-range": range, etag: '"v1"' },
    file.slice(first, last + 1),
    fault,
  );
}

async function sendBody(
  conn: Deno.Conn,
  status: string,
  headers: Record<string, string>,
  body: Uint8Array<ArrayBuffer>,
  fault: Fault,
): Promise<boolean> {
  const half = body.subarray(0, body.length >> 1);
  switch (fault.kind) {
    case "truncate":
      await send(conn, status, headers, half, body.length);
      return false;
    case "short":
      return await send(conn, status, headers, half);
    case "stall":
      await send(conn, status, headers, body.subarray(0, 1), body.length);
      // Until the client cuts the connection.
      return await readHead(conn) !== undefined;
    case "trickle":
      await send(conn, status, headers, body.subarray(0, 1), body.length);
      for (let i = 1; i < body.length; i++) {
        await new Promise((resolve) => setTimeout(resolve, fault.ms));
        await conn.write(body.subarray(i, i + 1));
      }
      return true;
    case "long":
      return await send(conn, status, headers, new Uint8Array([...body, 0, 0]));
    case "gzip":
      return await send(conn, status, { ...headers, "content-encoding": "gzip" }, body);
    case "flip": {
      const flipped = body.slice();
      flipped[flipped.length >> 1]! ^= 4;
      return await send(conn, status, headers, flipped);
    }
    default:
      return await send(conn, status, headers, body);
  }
}

async function send(
  conn: Deno.Conn,
  status: string,
  headers: Record<string, string>,
  body: Uint8Array,
  length = body.length,
): Promise<boolean> {
  const lines = Object.entries({ ...headers, "content-length": String(length) });
  const head = `HTTP/1.1 ${status}\r\n${lines.map(([k, v]) => `${k}: ${v}\r\n`).join("")}\r\n`;
  const all = new Uint8Array([...new TextEncoder().encode(head), ...body]);
  for (let at = 0; at < all.length;) at += await conn.write(all.subarray(at));
  return true;
}
