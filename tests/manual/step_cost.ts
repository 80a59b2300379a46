/**
 * What a token costs in processor time, readbacks, submits and operations: the shipped model on one thread, batch
 * and beams and residency varied. `deno run -A tests/manual/step_cost.ts [CHECKOUT]` measures another checkout of
 * moqe with the same sentences: run both in turn and compare. Processor time, since wall time counts the neighbours.
 */
const root = new URL(`file://${Deno.args[0] ?? new URL("../../", import.meta.url).pathname}/`);
const from = (path: string) => import(new URL(path, root).href);
const { withPacked } = await from("tests/support/model.ts");
const { Scheduler } = await from("src/engine/scheduler.ts");
const { parseManifest } = await from("src/store/manifest.ts");
const here = new URL("../../", import.meta.url);
const folder = new URL("models/tiny-en-de-fr-es/", here).pathname;
const manifest = parseManifest(await Deno.readTextFile(`${folder}manifest.json`), folder);
const golden = JSON.parse(
  await Deno.readTextFile(new URL("tests/goldens/shipped/tiny-en-de-fr-es.json", here)),
);
const target = golden.sentences[0].greedy[1];

/** Processor time of this process in ms, all threads. */
function cpuMs(): number {
  const fields = Deno.readTextFileSync("/proc/self/stat").split(") ")[1]!.split(" ");
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

const rows: string[] = [];
for (const maxSlots of [80, 10]) {
  for (const [batch, beams] of [[1, 1], [16, 1], [1, 4], [16, 4]] as const) {
    const use = async (m: Record<string, never>) => {
      const { model, spec, backend } = m as never as Record<string, never>;
      const scheduler = new Scheduler(model, spec, { maxRows: 512, maxQueue: 1000 });
      const jobs = golden.sentences.slice(0, 16).map((s: { source: number[] }) => ({
        source: Int32Array.from(s.source),
        prefix: golden.sentences[0].greedy.slice(0, 2),
        forced: 1,
        // What older checkouts want.
        languageToken: target,
        beams,
        lengthPenalty: 1,
        maxTokens: 64,
      }));
      const round = async () => {
        for (let at = 0; at < jobs.length; at += batch) {
          await scheduler.run(jobs.slice(at, at + batch));
        }
      };
      await round();
      const counters = () =>
        (backend as unknown as { counters(): Record<string, number> }).counters();
      const before = { ...counters(), ...scheduler.stats().tokens, cpu: cpuMs() };
      const passes = { ...scheduler.stats().steps };
      for (let i = 0; i < 1; i++) await round();
      const after = { ...counters(), ...scheduler.stats().tokens, cpu: cpuMs() };
      const tokens = after.target - before.target;
      const steps = scheduler.stats().steps.decode - passes.decode;
      const a = (name: string) => ((after as never)[name] - (before as never)[name]) / tokens;
      const s = (name: string) => ((after as never)[name] - (before as never)[name]) / steps;
      rows.push(
        [
          `${maxSlots}`.padStart(5),
          `${batch}`.padStart(5),
          `${beams}`.padStart(5),
          a("cpu").toFixed(3).padStart(10),
          a("readbacks").toFixed(2).padStart(10),
          s("readbacks").toFixed(2).padStart(10),
          a("submits").toFixed(2).padStart(8),
          a("operations").toFixed(1).padStart(10),
          (steps * batch / tokens).toFixed(2).padStart(6),
          JSON.stringify(scheduler.stats().decode ?? {}),
        ].join(" "),
      );
    };
    const options = { gpuBytes: 2 ** 28, maxBatchTokens: 512, maxSourceTokens: 128, maxSlots };
    await withPacked(folder, manifest, use, options);
  }
}
console.log("slots batch beams  cpu ms/tk readback/tk readback/step submit/tk  ops/tk steps/tk");
console.log(rows.join("\n"));
