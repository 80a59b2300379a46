/** A socket for the application, and its clean end. */
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { MoqeError } from "../base/errors.ts";
import type { Gate } from "./gate.ts";
import { type WebHandler, webListener } from "./node_bridge.ts";

/** Long enough for the last answer to be on its way. */
const QUIET_MS = 2000;

/** Time for a client to take something of its answer; lines that are slow take some all the time. */
const STALL_MS = 60_000;

/** Where to listen. Port 0 takes a free one. */
export interface Address {
  readonly host: string;
  readonly port: number;
}

/** A service that listens. */
export interface Listening {
  /** Base address, with the port that was taken. */
  readonly url: string;
  /**
   * Stops accepting, finishes what was accepted. Resolves to true when all of it was answered within
   * `timeoutMs`, to false when some was cut off.
   */
  drain(timeoutMs: number): Promise<boolean>;
}

/** Listens and answers. Throws MoqeError `unavailable` for a port that cannot be taken. */
export async function listen(
  handler: WebHandler,
  address: Address,
  gate: Gate,
  stallMs = STALL_MS,
): Promise<Listening> {
  const listener = webListener(handler, stallMs);
  // Uploads are in no gate that says when they are over, and an answer may take longer to send than to make.
  let unfinished = 0;
  const server = createServer((incoming, outgoing) => {
    unfinished++;
    outgoing.once("close", () => unfinished--);
    void listener(incoming, outgoing);
  });
  await bind(server, address);
  const { port } = server.address() as AddressInfo;
  const host = address.host.includes(":") ? `[${address.host}]` : address.host;
  return {
    url: `http://${host}:${port}`,
    async drain(timeoutMs) {
      gate.drain();
      const closed = new Promise<true>((resolve) => server.close(() => resolve(true)));
      // Connections that are kept alive but ask nothing would hold the end up, and not every one that is idle is
      // known as such: once nothing accepted has run for a while, whatever is still open is waiting for nothing.
      let quietSince = performance.now();
      const quiet = Promise.withResolvers<true>();
      const idle = setInterval(() => {
        server.closeIdleConnections();
        if (gate.inFlight > 0 || unfinished > 0) quietSince = performance.now();
        else if (performance.now() - quietSince > QUIET_MS) quiet.resolve(true);
      }, 50);
      const finished = await Promise.race([closed, quiet.promise, after(timeoutMs)]);
      clearInterval(idle);
      server.closeAllConnections();
      return finished;
    },
  };
}

function bind(server: Server, { host, port }: Address): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", (cause: Error & { code?: string }) => {
      const refusal = refusalOf(cause.code, host, port);
      reject(
        refusal === undefined ? cause : new MoqeError("unavailable", {
          action: `listen on ${host}:${port}`,
          ...refusal,
          cause,
        }),
      );
    });
    server.listen(port, host, resolve);
  });
}

/** Why a port was not given, in words that help. */
function refusalOf(
  code: string | undefined,
  host: string,
  port: number,
): { rule: string; remedy: string } | undefined {
  if (code === "EADDRINUSE") {
    return {
      rule: "another program listens there already",
      remedy: `stop it, or take another port: --port ${port === 65535 ? 5000 : port + 1}`,
    };
  }
  if (code === "EACCES" || code === "EPERM") {
    return { rule: "the system does not allow it", remedy: "take a port of 1024 or more" };
  }
  // Deno says EINVAL where node says EADDRNOTAVAIL.
  if (code === "EADDRNOTAVAIL" || code === "EINVAL" || code === "ENOTFOUND") {
    return { rule: `${host} is no address of this machine`, remedy: "try --host 127.0.0.1" };
  }
  return undefined;
}

function after(ms: number): Promise<false> {
  return new Promise((resolve) => setTimeout(() => resolve(false), ms));
}
