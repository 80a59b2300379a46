/** A socket for the application, and its clean end. */
import { MoqeError } from "../base/errors.ts";
import type { Gate } from "./gate.ts";

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
export function listen(
  fetch: (request: Request) => Response | Promise<Response>,
  address: Address,
  gate: Gate,
): Listening {
  const server = bind(fetch, address);
  const { port } = server.addr;
  const host = address.host.includes(":") ? `[${address.host}]` : address.host;
  return {
    url: `http://${host}:${port}`,
    async drain(timeoutMs) {
      gate.drain();
      const finished = server.shutdown().then(() => true);
      return await Promise.race([finished, after(timeoutMs)]);
    },
  };
}

function bind(
  fetch: (request: Request) => Response | Promise<Response>,
  { host, port }: Address,
): Deno.HttpServer<Deno.NetAddr> {
  try {
    // The second argument of a Deno handler is no Hono environment, so it is left out.
    return Deno.serve({ hostname: host, port, onListen: () => {} }, (request) => fetch(request));
  } catch (cause) {
    const refusal = refusalOf(cause, host, port);
    if (refusal === undefined) throw cause;
    throw new MoqeError("unavailable", {
      action: `listen on ${host}:${port}`,
      ...refusal,
      cause,
    });
  }
}

/** Why a port was not given, in words that help. */
function refusalOf(
  cause: unknown,
  host: string,
  port: number,
): { rule: string; remedy: string } | undefined {
  if (cause instanceof Deno.errors.AddrInUse) {
    return {
      rule: "another program listens there already",
      remedy: `stop it, or take another port: --port ${port === 65535 ? 5000 : port + 1}`,
    };
  }
  if (cause instanceof Deno.errors.PermissionDenied) {
    return { rule: "the system does not allow it", remedy: "take a port of 1024 or more" };
  }
  if (cause instanceof Deno.errors.AddrNotAvailable || cause instanceof Deno.errors.NotFound) {
    return { rule: `${host} is no address of this machine`, remedy: "try --host 127.0.0.1" };
  }
  return undefined;
}

function after(ms: number): Promise<false> {
  return new Promise((resolve) => setTimeout(() => resolve(false), ms));
}
