/** An HTTPS proxy, as HTTPS_PROXY names one, that counts what comes through it. */

export interface CountingProxy {
  readonly url: string;
  /** Bytes that servers sent so far, TLS included. */
  bytes(): number;
  close(): Promise<void>;
}

/** Starts it on a free port. It tunnels (CONNECT) to whatever host it is asked for. */
export function countingProxy(): CountingProxy {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const running = new Set<Promise<void>>();
  let bytes = 0;
  const count = () =>
    new TransformStream<Uint8Array, Uint8Array>({
      transform(chunk, controller) {
        bytes += chunk.length;
        controller.enqueue(chunk);
      },
    });
  const tunnel = async (client: Deno.Conn) => {
    const server = await connect(client);
    if (server === undefined) return client.close();
    // Both ends are closed by the streams; one that goes away takes the other with it.
    await Promise.allSettled([
      client.readable.pipeTo(server.writable),
      server.readable.pipeThrough(count()).pipeTo(client.writable),
    ]);
  };
  const accepting = (async () => {
    for await (const client of listener) {
      const run = tunnel(client).catch(() => {}).finally(() => running.delete(run));
      running.add(run);
    }
  })();
  return {
    url: `http://127.0.0.1:${(listener.addr as Deno.NetAddr).port}`,
    bytes: () => bytes,
    async close() {
      listener.close();
      await accepting;
      await Promise.all(running);
    },
  };
}

/** The host that a client's CONNECT names; undefined, and told to the client, where it cannot be reached. */
async function connect(client: Deno.Conn): Promise<Deno.Conn | undefined> {
  const buffer = new Uint8Array(4096),
    say = (line: string) => client.write(new TextEncoder().encode(`HTTP/1.1 ${line}\r\n\r\n`));
  let head = "";
  while (!head.includes("\r\n\r\n")) {
    const n = await client.read(buffer);
    if (n === null) return undefined;
    head += new TextDecoder().decode(buffer.subarray(0, n));
  }
  const [, hostname, port] = /^CONNECT (\S+):(\d+) /.exec(head) ?? [];
  try {
    const server = await Deno.connect({ hostname: hostname!, port: Number(port) });
    await say("200 OK");
    return server;
  } catch {
    await say("502 Bad Gateway");
    return undefined;
  }
}
