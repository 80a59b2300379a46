/** A TCP relay before an HTTP server: it notes the requests that pass, and cuts connections on demand. */

export interface TcpProxy {
  readonly url: string;
  /** "METHOD PATH" of the requests that passed, in their order. */
  readonly requests: string[];
  /** Bytes from the server after which the next connection is cut; undefined: never. Taken by one connection. */
  cutDownAfter: number | undefined;
  /** The same for bytes from the client. */
  cutUpAfter: number | undefined;
  /** What the next connections wait before their first byte passes. */
  delayMs: number;
  close(): Promise<void>;
}

/** Relays to http://127.0.0.1:PORT. Bytes pass as they are, so that signatures stay right. */
export function tcpProxy(target: string): TcpProxy {
  const { hostname, port } = new URL(target);
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const open = new Set<Deno.Conn>();
  const running = new Set<Promise<void>>();
  const proxy: TcpProxy = {
    url: `http://127.0.0.1:${(listener.addr as Deno.NetAddr).port}`,
    requests: [],
    cutDownAfter: undefined,
    cutUpAfter: undefined,
    delayMs: 0,
    async close() {
      listener.close();
      for (const conn of open) shut(conn);
      await accepting;
      await Promise.all(running);
    },
  };
  const shut = (conn: Deno.Conn) => {
    open.delete(conn);
    try {
      conn.close();
    } catch { /* closed already */ }
  };
  const relay = async (client: Deno.Conn) => {
    open.add(client);
    const down = proxy.cutDownAfter, up = proxy.cutUpAfter;
    proxy.cutDownAfter = proxy.cutUpAfter = undefined;
    if (proxy.delayMs > 0) await new Promise((resolve) => setTimeout(resolve, proxy.delayMs));
    let server: Deno.Conn;
    try {
      server = await Deno.connect({ hostname, port: Number(port) });
    } catch {
      return shut(client);
    }
    open.add(server);
    const note = (bytes: Uint8Array) => {
      const head = new TextDecoder().decode(bytes.subarray(0, 4096));
      const line = /^(GET|HEAD|PUT|POST|DELETE) (\S+) HTTP/.exec(head);
      if (line !== null) proxy.requests.push(`${line[1]} ${line[2]}`);
    };
    await Promise.all([pump(client, server, up, note), pump(server, client, down)]);
    shut(client);
    shut(server);
  };
  const pump = async (
    from: Deno.Conn,
    to: Deno.Conn,
    cutAfter: number | undefined,
    note?: (bytes: Uint8Array) => void,
  ) => {
    const buffer = new Uint8Array(64 * 1024);
    let left = cutAfter ?? Infinity;
    try {
      for (;;) {
        const n = await from.read(buffer);
        if (n === null) break;
        const bytes = buffer.subarray(0, Math.min(n, left));
        note?.(bytes);
        for (let at = 0; at < bytes.length;) at += await to.write(bytes.subarray(at));
        left -= n;
        if (left <= 0) break;
      }
    } catch { /* one side went away: so does the other */ }
    shut(from);
    shut(to);
  };
  const accepting = (async () => {
    try {
      for await (const conn of listener) {
        const run = relay(conn).finally(() => running.delete(run));
        running.add(run);
      }
    } catch { /* the listener was closed */ }
  })();
  return proxy;
}

/** A forward proxy, as HTTP_PROXY names one: every host it is asked for is the one server. */
export function forwardProxy(
  target: string,
): { url: string; hosts: Set<string>; close(): Promise<void> } {
  const { hostname, port } = new URL(target);
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const hosts = new Set<string>();
  const serve = async (client: Deno.Conn) => {
    const server = await Deno.connect({ hostname, port: Number(port) });
    try {
      const buffer = new Uint8Array(16 * 1024);
      let head = "";
      while (!head.includes("\r\n\r\n")) {
        const n = await client.read(buffer);
        if (n === null) return;
        head += new TextDecoder().decode(buffer.subarray(0, n));
      }
      hosts.add(/^host: *(\S+)/im.exec(head)?.[1] ?? "");
      // One request a connection, so that none but the first head must be looked at.
      const rewritten = head.replace(/^(\S+) http:\/\/[^/ ]+/, "$1 ")
        .replace(/^connection:.*\r\n/im, "").replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n");
      await server.write(new TextEncoder().encode(rewritten));
      await server.readable.pipeTo(client.writable, { preventClose: true });
    } catch {
      /* one side went away */
    } finally {
      for (const conn of [client, server]) {
        try {
          conn.close();
        } catch { /* closed already */ }
      }
    }
  };
  const accepting = (async () => {
    try {
      for await (const conn of listener) serve(conn).catch(() => {});
    } catch { /* the listener was closed */ }
  })();
  return {
    url: `http://127.0.0.1:${(listener.addr as Deno.NetAddr).port}`,
    hosts,
    async close() {
      listener.close();
      await accepting;
    },
  };
}
