/**
 * OpenStack Swift with its S3 interface, from Debian's packages, on one machine in a temporary folder: the S3 server
 * that checks signatures and hashes as S3 does. One replica, no daemons; memcached holds tempauth's tokens.
 */
import { userInfo } from "node:os";

export interface SwiftServer {
  /** http://127.0.0.1:PORT */
  readonly endpoint: string;
  readonly region: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  /** The environment that AWS tools, and moqe, would be given. */
  readonly env: Record<string, string>;
  /** Lines that the proxy logged so far. */
  log(): string;
  close(): Promise<void>;
}

const ACCESS = "test:tester", SECRET = "not-so-secret";
const REGION = "us-east-1";
/** Buckets answer as BUCKET.s3.test, too; no name server knows them, so a proxy must. */
export const STORAGE_DOMAIN = "s3.test";

/** Starts the four servers as this user and waits until they answer. Throws with what they logged. */
export async function startSwift(): Promise<SwiftServer> {
  const folder = await Deno.makeTempDir({ prefix: "moqe-swift-" });
  const ports = {
    proxy: freePort(),
    account: freePort(),
    container: freePort(),
    object: freePort(),
  };
  const memcached = freePort();
  await Deno.mkdir(`${folder}/devices/d1`, { recursive: true });
  await Deno.writeTextFile(`${folder}/swift.conf`, SWIFT_CONF);
  for (const [name, port] of Object.entries(ports)) {
    const text = name === "proxy"
      ? proxyConf(folder, port, memcached)
      : serverConf(folder, name, port);
    await Deno.writeTextFile(`${folder}/${name}.conf`, text);
  }
  await makeRings(folder, ports);
  const children = Object.keys(ports).map((name) => start(folder, name));
  children.push(
    new Deno.Command("/usr/bin/memcached", {
      args: [
        "-l",
        "127.0.0.1",
        "-p",
        String(memcached),
        "-U",
        "0",
        "-u",
        userInfo().username,
        "-m",
        "16",
      ],
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).spawn(),
  );
  const server: SwiftServer = {
    endpoint: `http://127.0.0.1:${ports.proxy}`,
    region: REGION,
    accessKeyId: ACCESS,
    secretAccessKey: SECRET,
    env: {
      AWS_ACCESS_KEY_ID: ACCESS,
      AWS_SECRET_ACCESS_KEY: SECRET,
      AWS_REGION: REGION,
      AWS_ENDPOINT_URL: `http://127.0.0.1:${ports.proxy}`,
    },
    log: () => Deno.readTextFileSync(`${folder}/proxy.log`),
    async close() {
      for (const child of children) {
        try {
          child.kill("SIGKILL");
        } catch { /* it has ended */ }
      }
      await Promise.all(children.map((child) => child.status));
      await Deno.remove(folder, { recursive: true });
    },
  };
  try {
    await answers(server.endpoint, [...Object.values(ports), memcached], children);
  } catch (error) {
    const logs = Object.keys(ports).map((n) =>
      Deno.readTextFileSync(`${folder}/${n}.log`).slice(-2000)
    );
    await server.close();
    throw new Error(`${(error as Error).message}\n${logs.join("\n")}`);
  }
  return server;
}

function freePort(): number {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  listener.close();
  return (listener.addr as Deno.NetAddr).port;
}

const SWIFT_CONF = `[swift-hash]
swift_hash_path_suffix = moqe
swift_hash_path_prefix = tests
[storage-policy:0]
name = default
default = yes
`;

const COMMON = (folder: string, port: number) =>
  `[DEFAULT]
bind_ip = 127.0.0.1
bind_port = ${port}
swift_dir = ${folder}
user = ${userInfo().username}
workers = 0
log_level = WARNING
`;

function proxyConf(folder: string, port: number, memcached: number): string {
  return `${COMMON(folder, port)}
[pipeline:main]
pipeline = catch_errors proxy-logging cache s3api tempauth slo dlo proxy-logging proxy-server
[app:proxy-server]
use = egg:swift#proxy
allow_account_management = true
conn_timeout = 10
node_timeout = 60
account_autocreate = true
[filter:cache]
use = egg:swift#memcache
memcache_servers = 127.0.0.1:${memcached}
[filter:tempauth]
use = egg:swift#tempauth
user_test_tester = ${SECRET} .admin
[filter:s3api]
use = egg:swift#s3api
location = ${REGION}
storage_domain = ${STORAGE_DOMAIN}
s3_acl = false
[filter:slo]
use = egg:swift#slo
[filter:dlo]
use = egg:swift#dlo
[filter:proxy-logging]
use = egg:swift#proxy_logging
[filter:catch_errors]
use = egg:swift#catch_errors
`;
}

function serverConf(folder: string, name: string, port: number): string {
  return `${COMMON(folder, port)}
devices = ${folder}/devices
mount_check = false
fallocate_reserve = 0
disable_fallocate = true
[pipeline:main]
pipeline = ${name}-server
[app:${name}-server]
use = egg:swift#${name}
`;
}

/** One process for the three rings; swift-ring-builder would be started nine times. */
async function makeRings(folder: string, ports: Record<string, number>): Promise<void> {
  const program = `
import json, sys, os, tempfile
try:
    with tempfile.NamedTemporaryFile(dir=sys.argv[1] + "/devices") as f:
        os.setxattr(f.name, "user.swift.test", b"x")
except OSError as e:
    sys.exit("the file system under %s has no extended attributes (%s): set TMPDIR to one that has" % (sys.argv[1], e))
from swift.common.ring import RingBuilder
for name, port in json.loads(sys.argv[2]).items():
    ring = RingBuilder(2, 1, 0)
    ring.add_dev(dict(id=0, region=1, zone=1, weight=1.0, ip="127.0.0.1", port=port, device="d1",
                      replication_ip="127.0.0.1", replication_port=port))
    ring.rebalance()
    ring.get_ring().save("%s/%s.ring.gz" % (sys.argv[1], name))
`;
  const { proxy: _, ...stores } = ports;
  const { success, stderr } = await new Deno.Command("/usr/bin/python3", {
    args: ["-c", program, folder, JSON.stringify(stores)],
  }).output();
  if (!success) throw new Error(`cannot make Swift's rings: ${new TextDecoder().decode(stderr)}`);
}

/** Runs one server; its output goes to a file. */
function start(folder: string, name: string): Deno.ChildProcess {
  const command =
    `exec /usr/bin/swift-${name}-server ${folder}/${name}.conf -v >${folder}/${name}.log 2>&1`;
  return new Deno.Command("/bin/sh", { args: ["-c", command], stdin: "null" }).spawn();
}

/** Waits until every server takes connections and the S3 interface refuses a broken signature, as it should. */
async function answers(
  endpoint: string,
  ports: readonly number[],
  children: Deno.ChildProcess[],
): Promise<void> {
  let ended = "";
  for (const child of children) child.status.then((s) => ended ||= `a server ended with ${s.code}`);
  const ready = async () => {
    try {
      for (const port of ports) (await Deno.connect({ hostname: "127.0.0.1", port })).close();
      const authorization = "AWS4-HMAC-SHA256 x";
      const response = await fetch(`${endpoint}/any`, { headers: { authorization } });
      await response.body?.cancel();
      return response.status === 400 || response.status === 403;
    } catch {
      return false;
    }
  };
  for (let tries = 0; tries < 1200 && ended === ""; tries++) {
    if (await ready()) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error(`Swift does not answer: ${ended || "no answer after two minutes"}`);
}
