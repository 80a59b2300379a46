/** Whose address a request has: the peer's, or what a trusted proxy says in X-Forwarded-For. */
import { BlockList, isIP } from "node:net";
import { MoqeError } from "../../base/errors.ts";

/** Addresses of proxies that are believed. */
export class TrustedProxies {
  readonly #list = new BlockList();
  readonly #any: boolean;

  /** Takes addresses and networks: 10.0.0.0/8, ::1. Throws MoqeError `bad_input`. */
  constructor(networks: readonly string[]) {
    this.#any = networks.length > 0;
    for (const network of networks) this.#add(network);
  }

  #add(network: string): void {
    const [address, bits, more] = network.split("/");
    const family = isIP(address!);
    const most = family === 4 ? 32 : 128;
    const prefix = bits === undefined ? most : Number(bits);
    const whole = Number.isInteger(prefix) && prefix >= 0 && prefix <= most && bits !== "";
    if (family === 0 || more !== undefined || !whole) {
      throw new MoqeError("bad_input", {
        action: "read --trusted-proxies",
        rule: "each must be an address or a network, as in 10.0.0.0/8 or ::1",
        observed: JSON.stringify(network.slice(0, 60)),
      });
    }
    this.#list.addSubnet(address!, prefix, family === 4 ? "ipv4" : "ipv6");
  }

  /**
   * The client's address. X-Forwarded-For is read from its end, where the nearest proxy wrote, for as long as the
   * writer is trusted; what a client wrote itself is never believed.
   */
  clientOf(peer: string, forwardedFor: string | undefined): string {
    if (!this.#any || forwardedFor === undefined) return peer;
    let client = peer;
    const hops = forwardedFor.split(",").map((hop) => withoutPort(hop.trim()));
    while (this.trusts(client)) {
      const before = hops.pop();
      if (before === undefined || isIP(before) === 0) return client;
      client = before;
    }
    return client;
  }

  /** True for the address of a trusted proxy. */
  trusts(address: string): boolean {
    const family = isIP(address);
    return family !== 0 && this.#list.check(address, family === 4 ? "ipv4" : "ipv6");
  }
}

/**
 * The name under which an address is counted. A single client has 2^64 addresses of IPv6 at least, so that these are
 * counted by their first 64 bits; an IPv4 address that a socket for both writes as ::ffff:9.9.9.9 is that IPv4 address.
 */
export function networkOf(address: string): string {
  if (isIP(address) !== 6) return address;
  const words = wordsOf(address);
  const isMapped = words.slice(0, 5).every((word) => word === 0) && words[5] === 0xffff;
  if (isMapped) return words.slice(6).flatMap((word) => [word >> 8, word & 0xff]).join(".");
  return `${words.slice(0, 4).map((word) => word.toString(16)).join(":")}::/64`;
}

/** The eight words of an IPv6 address, of which URLs know every way to write it but the zone. */
function wordsOf(address: string): number[] {
  const { hostname } = new URL(`http://[${address.replace(/%.*$/, "")}]`);
  const [head = [], tail = []] = hostname.slice(1, -1).split("::")
    .map((part) => part.split(":").filter((word) => word !== "").map((word) => parseInt(word, 16)));
  return [...head, ...new Array<number>(8 - head.length - tail.length).fill(0), ...tail];
}

/** An address without the port that some proxies write after it: 9.9.9.9:4711, [2001:db8::1]:4711. */
function withoutPort(hop: string): string {
  return /^\[([^\]]+)\](?::\d+)?$/.exec(hop)?.[1] ?? /^([\d.]+):\d+$/.exec(hop)?.[1] ?? hop;
}
