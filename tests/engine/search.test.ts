import { assertAlmostEquals, assertEquals } from "@std/assert";
import { type Continuations, Search } from "../../src/engine/search.ts";

const EOS = 2;
const best = (...pairs: [number, number][]): Continuations => ({
  ids: pairs.map((p) => p[0]),
  logProbs: pairs.map((p) => p[1]),
});

Deno.test("greedy follows the best token and ends at the end token", () => {
  const s = new Search({ beams: 1, lengthPenalty: 1, maxTokens: 10, eos: [EOS] }, [99]);
  assertEquals(s.candidates, 1);
  assertEquals(s.advance([best([7, -0.5])]), [0]);
  assertEquals(s.advance([best([EOS, -0.25])]), []);
  assertEquals(s.done, true);
  assertEquals(s.finished[0]!.tokens, [99, 7, EOS]);
  assertAlmostEquals(s.finished[0]!.score, -0.75 / 3);
});

Deno.test("greedy at the length limit ends without an end token", () => {
  const s = new Search({ beams: 1, lengthPenalty: 1, maxTokens: 3, eos: [EOS] }, [99]);
  s.advance([best([7, -1])]);
  s.advance([best([8, -1])]);
  assertEquals(s.done, true);
  assertEquals(s.finished[0]!.tokens, [99, 7, 8]);
});

Deno.test("an end token ranked below the beam is dropped", () => {
  const s = new Search({ beams: 2, lengthPenalty: 1, maxTokens: 10, eos: [EOS] }, [99]);
  const parents = s.advance([best([5, -0.1], [6, -0.2], [EOS, -0.3], [7, -0.4])]);
  assertEquals(parents, [0, 0]);
  assertEquals(s.running.map((r) => r.tokens[1]), [5, 6]);
  assertEquals(s.finished.length, 0);
});

Deno.test("an end token within the beam becomes a hypothesis and the next candidate runs on", () => {
  const s = new Search({ beams: 2, lengthPenalty: 0, maxTokens: 10, eos: [EOS] }, [99]);
  s.advance([best([EOS, -0.1], [6, -0.2], [7, -0.3], [8, -0.4])]);
  assertEquals(s.finished.length, 1);
  assertEquals(s.running.map((r) => r.tokens[1]), [6, 7]);
  // A second hypothesis; the running sums can no longer beat the worst kept one.
  s.advance([
    best([EOS, -0.05], [6, -3], [7, -4], [8, -5]),
    best([5, -3], [6, -3.5], [7, -4], [8, -5]),
  ]);
  assertEquals(s.done, true);
  assertEquals(s.finished.map((f) => f.tokens), [[99, EOS], [99, 6, EOS]]);
});

Deno.test("a limit of one token answers at once", () => {
  const s = new Search({ beams: 4, lengthPenalty: 1, maxTokens: 1, eos: [EOS] }, [99]);
  assertEquals(s.done, true);
  assertEquals(s.finished[0]!.tokens, [99]);
});
