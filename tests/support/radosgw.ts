/**
 * Ceph's radosgw over its dbstore, from Debian: an S3 server of a distribution that answers ranges with wrong bytes
 * under 206. It checks signatures and stores objects right, so only hashes of blocks can tell.
 */

export interface RadosGateway {
  readonly env: Record<string, string>;
  close(): Promise<void>;
}

const ACCESS = "AKIDTESTER", SECRET = "not-so-secret";

/** Starts it in a temporary folder, without a Ceph cluster. */
export async function startRadosGateway(): Promise<RadosGateway> {
  const folder = await Deno.makeTempDir({ prefix: "moqe-radosgw-" });
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr as Deno.NetAddr;
  listener.close();
  const conf = `${folder}/ceph.conf`;
  await Deno.writeTextFile(
    conf,
    `[global]
auth cluster required = none
auth service required = none
auth client required = none
run dir = ${folder}
mon host = 127.0.0.1
[client]
rgw backend store = dbstore
rgw config store = dbstore
dbstore db dir = ${folder}
dbstore config uri = file:${folder}/config.db
rgw data = ${folder}
log file = ${folder}/rgw.log
admin socket =
rgw frontends = beast endpoint=127.0.0.1:${port}
`,
  );
  const user = ["user", "create", "--uid=test", "--display-name=test"];
  const keys = [`--access-key=${ACCESS}`, `--secret-key=${SECRET}`];
  const made = await new Deno.Command("radosgw-admin", {
    args: ["-c", conf, "--no-mon-config", ...user, ...keys],
  }).output();
  if (!made.success) throw new Error(new TextDecoder().decode(made.stderr));
  const child = new Deno.Command("radosgw", {
    args: ["-c", conf, "--no-mon-config", "-n", "client.rgw.test", "-f"],
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).spawn();
  const endpoint = `http://127.0.0.1:${port}`;
  for (let tries = 0;; tries++) {
    try {
      await (await fetch(endpoint)).body?.cancel();
      break;
    } catch (error) {
      if (tries === 300) throw error;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
  return {
    env: {
      AWS_ACCESS_KEY_ID: ACCESS,
      AWS_SECRET_ACCESS_KEY: SECRET,
      AWS_REGION: "default",
      AWS_ENDPOINT_URL: endpoint,
    },
    async close() {
      child.kill("SIGKILL");
      await child.status;
      await Deno.remove(folder, { recursive: true });
    },
  };
}
