"""Texts that tokenizers get wrong: every string here has broken one somewhere."""

import random


def long_texts() -> list[str]:
    """10,000 characters without a space, in four ways."""
    draw = random.Random(1)
    return [
        "a" * 10_000,
        "".join(draw.choices("etaoinshrdlu", k=10_000)),
        "".join(chr(draw.randrange(0x4E00, 0x9FA5)) for _ in range(10_000)),
        "a" + "\u0301\u0323" * 5_000,
    ]


SPACES = [
    "", " ", "     ", "\t", "\n", " \t\r\n \n", "\u00a0", "\u3000", "\u2003\u2009", "\u200b", "\ufeff", "\u0085",
    "\u2028\u2029", "\u180e", " a", "a ", "  a  b   c  ", "a\tb\nc\r\nd\re", "a\u00a0b\u3000c\u2003d\u202fe",
    "\ufeffBOM first", "BOM last\ufeff", "a\u0085b", "\u0085a\u0085", "\r\n\r\n", "x\u200by\u200cz\u200dw", "a\u2060b",
    "a\u00adb", "a\u000bb\u000cc", "\u001ca\u001cb\u001d", "▁", "▁▁", " ▁ ", "a▁b", "▁a", "a▁▁b ▁c", "\u2581 \u2581",
]

CONTROLS = [
    "\x00", "a\x00b", "\x00\x00\x00", "".join(map(chr, range(32))), "".join(map(chr, range(127, 160))), "\x7f", "\x1b[31mred\x1b[0m",
    "a\x01b\x02c", "\ufffd", "a\ufffdb", "\ufffd\ufffd\ufffd", "\ufffe\uffff", "\U0001fffe", "\ue000private\uf8ff",
    "\U000f0000\U0010fffd", "\u0378\u0379 unassigned \u2fe0", "\U000e0001\U000e0041tag\U000e007f", "\ufff9a\ufffab\ufffb",
]

EMOJI = [
    "😀", "👨‍👩‍👧‍👦", "👩🏽‍🚀 takes off 🚀🚀🚀", "🏳️‍🌈🏴‍☠️", "🇩🇪🇫🇷🇪🇸", "🇩", "1️⃣2️⃣#️⃣", "❤️❤", "☺️☺︎", "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
    "I ❤️ translating 🌍🌎🌏!", "🫠🫱🏻‍🫲🏿", "a😀b😀c", "👍🏿👍🏻👍", "🤷‍♀️", "😀" * 50,
]

SCRIPTS = [
    "我喜欢机器翻译。", "機械翻訳が好きです。カタカナ ｶﾀｶﾅ ﾊﾞﾋﾟﾌﾟ", "한국어 문장입니다.", "한국어", "ประเทศไทย", "हिन्दी में लिखा हुआ", "தமிழ்",
    "مرحبا بالعالم، هذا نص عربي.", "שלום עולם", "\u202eabc\u202c right to left", "\u200fעברית\u200e mixed", "ﷺ ﷽",
    "Ελληνικά ΣΊΣΥΦΟΣ", "Привет, мир!", "ქართული", "አማርኛ", "မြန်မာဘာသာ", "𝕳𝖊𝖑𝖑𝖔 𝟙𝟚𝟛", "𐍈𐌰𐌹 𓀀𓂀", "İstanbul ıI ß ẞ ŉ ǰ",
]

FORMS = [
    "ﬁ ﬂ ﬃ ﬄ ﬅ ﬆ Ĳ ĳ Ǆ ǅ ǆ", "Ｆｕｌｌ　ｗｉｄｔｈ　１２３！？～", "～ ﹏ ﹅ ﹖", "① ② ⑩ ㊿ ㋐ ㍻ ㌔ ㎏ ℡ № ™ ℠ ℃ Å Ω K", "½ ¼ ⅓ x² y₃ ªº µ",
    "… ‥ ‐ ‑ – — ― ′ ″ ‴ ‵", "e\u0301 é E\u0300\u0323 ñ n\u0303", "a\u0300\u0301\u0302\u0303\u0304\u0305", "\u0301alone", " \u0301",
    "Z͑ͫ̓ͪ̂ͫ̽͏̴̙̤̞͉͚̯̞̠͍A̴̵̜̰͔ͫ͗͢L̠ͨͧͩ͘G̴̻͈͍͔̹̑͗̎̅͛́Ǫ̵̹̻̝̳͂̌̌͘!", "ｶ\uff9eｷ\uff9eﾊ\uff9f", "か\u3099 は\u309a", "각 \u1100\u1161\u11a8", "ﾞﾟ", "\u00a8 \u00b4 \u00b8 \u02d8",
    "ſ ẛ ẛ̣", "“quotes” „deutsch“ «français» ‹x› ¿qué? ¡sí!", "́́́a", "\u0344\u0345", "ŀ Ŀ ·", "ᴬᴭ ₐₑ ⁰⁹", "Ⅷ ⅷ ↉ ㈱ ㉑ 🄰 🅋 🈁", "\u1e9b\u0323",
]

CODES = [
    "</s>", "<s>", "<pad>", "<unk>", "<mask>", "deu_Latn", "eng_Latn", "a</s>b", "a <mask> b", "</s></s></s>", "<s>hello</s>",
    "write eng_Latn here", "<0x41>", "<0x0A><0xFF>", "<0xE2><0x82>", "< / s >", "<2de>", "{{name}} %s %1$d %(x)s &amp; <b>bold</b>",
    "https://example.org/a?b=c&d=%20#e", "user@example.org", "/usr/share/doc", "C:\\x\\y", "snake_case camelCase kebab-case", "0x1F 3.14159 1,000,000 1e-5",
    "__init__", "----------", "!!!???...", "(((())))", "\\n \\t", "`code`", "a\u200d\u200db", "''\"\"``", "#hashtag @name", "日本語とEnglishの混合",
]


def texts() -> list[str]:
    """All of them, a few combined with plain words around."""
    plain = [*SPACES, *CONTROLS, *EMOJI, *SCRIPTS, *FORMS, *CODES]
    wrapped = [f"before {text} after" for text in [*SPACES[4:12], *CONTROLS, *FORMS]]
    return [*plain, *wrapped, *long_texts()]
