/** Addresses of HTTP stores: names joined to them, what is shown of them, and where a redirect may lead. */

/** The URL of a file under a base URL; a query (a signature) stays behind the path. */
export function joinUrl(base: URL, name: string): URL {
  const url = new URL(base);
  url.pathname = `${base.pathname.replace(/\/+$/, "")}/${encodeURIComponent(name)}`;
  url.hash = "";
  return url;
}

/** A server's http(s) URL as settings name it, without user, password or query; undefined for anything else. */
export function serverUrl(text: string): URL | undefined {
  if (!URL.canParse(text)) return undefined;
  const url = new URL(text);
  const plain = url.username === "" && url.password === "" && url.search === "";
  return plain && /^https?:$/.test(url.protocol) ? url : undefined;
}

/** A URL for messages: no user, password or query, which may be secrets. */
export function shownUrl(url: URL): string {
  return `${url.origin}${url.pathname}`;
}

/** fetch refuses URLs with a user and password: they go into a header. */
export function splitCredentials(from: URL): { url: URL; authorization: string | undefined } {
  if (from.username === "" && from.password === "") return { url: from, authorization: undefined };
  const url = new URL(from);
  const pair = `${decodeURIComponent(url.username)}:${decodeURIComponent(url.password)}`;
  url.username = "";
  url.password = "";
  const bytes = new TextEncoder().encode(pair);
  return { url, authorization: `Basic ${btoa(String.fromCharCode(...bytes))}` };
}

/**
 * Where a redirect leads, or why it is not followed. Another origin is fine (CDNs), but never from https to
 * http, and never from a public host to this machine or its private network.
 */
export function followable(from: URL, location: string | null): URL | string {
  if (location === null) return "a redirect without a location";
  let to: URL;
  try {
    to = new URL(location, from);
  } catch {
    return "a redirect to something that is no URL";
  }
  if (to.protocol !== "https:" && to.protocol !== "http:") return `a redirect to ${to.protocol}`;
  if (from.protocol === "https:" && to.protocol === "http:") {
    return "a redirect from https to http";
  }
  if (isPrivateHost(to.hostname) && !isPrivateHost(from.hostname)) {
    return `a redirect from a public host to ${to.hostname}`;
  }
  return to;
}

/** Loopback, link-local and private addresses as they are written; names are not resolved. */
export function isPrivateHost(host: string): boolean {
  const name = host.toLowerCase().replace(/^\[|\]$/g, "");
  if (name === "localhost" || name.endsWith(".localhost") || name.endsWith(".local")) return true;
  if (name.includes(":")) {
    return name === "::1" || name === "::" || /^f[cd]|^fe[89ab]/.test(name) ||
      name.startsWith("::ffff:");
  }
  return /^(0|10|127)\.\d|^192\.168\.|^169\.254\.|^172\.(1[6-9]|2\d|3[01])\./.test(name);
}
