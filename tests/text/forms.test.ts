/** Normalization forms: equal to the platform's where they should be, older where the Python library is, and linear. */
import { assert, assertEquals } from "@std/assert";
import { normalizeAs } from "../../src/text/forms.ts";

Deno.test("text of common scripts is normalized as the platform does", () => {
  for (
    const text of ["e\u0301 ﬁ Ａ ①", "가각 \u1100\u1161\u11a8", "か\u3099", "a\u0323\u0301\u0334"]
  ) {
    for (const form of ["NFC", "NFD", "NFKC", "NFKD"] as const) {
      assertEquals(normalizeAs(text, form), text.normalize(form));
    }
  }
});

Deno.test("characters younger than Unicode 9 pass through", () => {
  assertEquals(normalizeAs("\u32ff ﬁ \u{1fbf1}", "NFKC"), "\u32ff fi \u{1fbf1}");
  assertEquals(normalizeAs("\u{11935}\u{11930}", "NFC"), "\u{11935}\u{11930}");
});

Deno.test("long text is cut where that changes nothing", () => {
  for (const unit of ["e\u0301", "か\u3099", "각", "x\u0323\u0301 ", "\u{1d400}ﬀ ", "字"]) {
    const text = unit.repeat(12_000);
    assertEquals(normalizeAs(text, "NFKC"), text.normalize("NFKC"), unit);
  }
});

Deno.test("200,000 combining marks out of order take no quadratic time", () => {
  const start = performance.now();
  normalizeAs("a" + "\u0301\u0323".repeat(100_000), "NFKC");
  // The platform's own takes over 10 s here.
  assert(performance.now() - start < 5_000);
});
