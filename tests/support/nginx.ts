/** deploy/nginx.conf itself before two replicas, as this user, with its files in a temporary folder. */
import { findProgram } from "./parts.ts";
import { after, Served } from "../http/served.ts";
import { spawnMoqe } from "../cli/moqe.ts";

const CONF = new URL("../../deploy/nginx.conf", import.meta.url);

export interface Balanced {
  readonly url: string;
  readonly replicas: readonly Served[];
  /** Lines of nginx's own log so far. */
  log(): Promise<string>;
  close(): Promise<void>;
}

/** The committed file with this run's ports and folder; without the hash line it is round robin. */
function configuration(
  folder: string,
  { port, replicas, hash }: { port: number; replicas: readonly Served[]; hash: boolean },
): string {
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
    .map((kind) => `${kind}_temp_path ${folder}/${kind};`).join(" ");
  const text = Deno.readTextFileSync(CONF)
    .replace("/run/nginx.pid", `${folder}/nginx.pid`)
    .replaceAll("/var/log/nginx", folder)
    .replace("http {", `http { ${temporary}`)
    .replace("listen 8080", `listen 127.0.0.1:${port}`)
    .replace("127.0.0.1:5001", new URL(replicas[0]!.url).host)
    .replace("127.0.0.1:5002", new URL(replicas[1]!.url).host);
  return hash ? text : text.replace("hash $moqe_target consistent;", "");
}

/** Starts two replicas with these flags and nginx before them. Throws with what nginx says. */
export async function startNginx(
  flags: readonly string[],
  { hash = true }: { hash?: boolean } = {},
): Promise<Balanced> {
  const replicas = await Promise.all(
    [1, 2].map(() => Served.of(spawnMoqe(["serve", "--port", "0", ...flags]))),
  );
  const folder = await Deno.makeTempDir({ prefix: "moqe-nginx-" });
  await Deno.chmod(folder, 0o755);
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr as Deno.NetAddr;
  listener.close();
  await Deno.writeTextFile(
    `${folder}/nginx.conf`,
    configuration(folder, { port, replicas, hash }),
  );
  const nginx = new Deno.Command(findProgram("nginx")!, {
    args: ["-e", `${folder}/error.log`, "-c", `${folder}/nginx.conf`, "-g", "daemon off;"],
    stdout: "inherit",
    stderr: "inherit",
  }).spawn();
  let ended = false;
  nginx.status.then(() => ended = true);
  const balanced = {
    url: `http://127.0.0.1:${port}`,
    replicas,
    log: () => Deno.readTextFile(`${folder}/access.log`),
    async close() {
      if (!ended) nginx.kill("SIGTERM");
      await nginx.status;
      for (const replica of replicas) await replica.end();
      await Deno.remove(folder, { recursive: true });
    },
  };
  for (let tries = 0; tries < 300 && !ended; tries++) {
    const answer = await fetch(`${balanced.url}/health`).catch(() => undefined);
    await answer?.body?.cancel();
    if (answer?.ok) return balanced;
    await after(50);
  }
  await balanced.close();
  throw new Error("nginx does not answer");
}
