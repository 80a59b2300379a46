/** JSON-line logs: one object a line, on stderr. User text never gets here; secrets in addresses are cut. */

export const LOG_LEVELS = ["debug", "info", "warn", "error", "off"] as const;
export type LogLevel = typeof LOG_LEVELS[number];

/** What a line may hold besides time, level and message. */
export type LogFields = Readonly<Record<string, string | number | boolean | null | undefined>>;

/** Writes lines at or above its level. */
export interface Logger {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
}

/** A logger of JSON lines. `write` gets each line without its newline; stderr unless given. */
export function createLogger(
  level: LogLevel,
  write: (line: string) => void = (line) => console.error(line),
  now: () => Date = () => new Date(),
): Logger {
  const least = LOG_LEVELS.indexOf(level);
  const at = (name: LogLevel) => (message: string, fields: LogFields = {}) => {
    if (LOG_LEVELS.indexOf(name) < least) return;
    const line: Record<string, unknown> = {
      time: now().toISOString(),
      level: name,
      message: redact(message),
    };
    for (const [key, value] of Object.entries(fields)) {
      line[key] = typeof value === "string" ? redact(value) : value;
    }
    write(JSON.stringify(line));
  };
  return { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") };
}

/** Cuts what may be secret from addresses in a text: user and password, query string, fragment. */
export function redact(text: string): string {
  return text.replace(
    /\b([a-z][a-z0-9+.-]{0,30}:\/\/)([^\s"'<>]*)/gi,
    (_, scheme: string, rest: string) => {
      const bare = rest.replace(/[?#].*$/, "");
      const path = bare.indexOf("/");
      const host = path === -1 ? bare : bare.slice(0, path);
      const tail = path === -1 ? "" : bare.slice(path);
      const cut = bare.length < rest.length ? "?..." : "";
      return scheme + host.slice(host.lastIndexOf("@") + 1) + tail + cut;
    },
  );
}
