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

Deno.test("combining marks out of order are normalized in bounded pieces: no run is quadratic", () => {
  // The platform's own work is quadratic in what it is given at once: 200,000 marks take over 10 s.
  const own = String.prototype.normalize;
  const given: number[] = [];
  String.prototype.normalize = function (form) {
    given.push(this.length);
    return own.call(this, form);
  };
  try {
    for (const marks of [10_000, 100_000]) {
      given.length = 0;
      const text = "a" + "\u0301\u0323".repeat(marks);
      normalizeAs(text, "NFKC");
      assertEquals(given.reduce((sum, n) => sum + n, 0), text.length);
      assert(Math.max(...given) <= 10_241, `${Math.max(...given)} units at once`);
    }
  } finally {
    String.prototype.normalize = own;
  }
});
