"""Raw (English, translation) texts -> clean sentence pairs, or nothing."""
import html
import re
import unicodedata

FUNCTION_WORDS = {
    "en": "the and of to is that with for this are you be not can from by as if or an in will your when which has",
    "de": "der die das und ist nicht mit für von ein eine den dem zu wird sie werden auf im des kann wenn oder aus",
    "fr": "le la les des et est pas avec pour de un une du dans que vous sur ce cette par il qui ne en sont au aux ou",
    "es": "el la los las y es no con para de un una del en que se por su al esta este lo como si o más son puede",
    "it": "il la i le di e è non con per un una del della che si nel da questo gli al sono può se o dei",
    "pt_BR": "o a os as e é não com para de um uma do da que se em por no na este esta ou são ao dos das pode",
    "ru": "и в не на с для что по из к это от при или если как вы будет его может",
}
WORDS = {k: frozenset(v.split()) for k, v in FUNCTION_WORDS.items()}
WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")
PLACEHOLDER = re.compile(
    r"%(?:\d+\$)?[-+0#]?\d*(?:\.\d+)?(?:ll|[lhzq])?[a-zA-Z]\b|%\d+|\{[\w$-]*\}|\$\{\w+\}|\$\w+")
CONTEXT = re.compile(r"^[\w ,.:'-]{1,60}\^")
"""Wesnoth's catalogues put a context before the text: `female^Go on.`"""
CREDITS = re.compile(r"translator-credits|^Your (?:names|emails)$|Translators?:|ROLES_OF|CREDIT_FOR|Content-Type:")
SENTENCE_END = re.compile(r"[.!?…][\"')\]»”“]*\s+(?=[\"'„«“(¿¡\[]?[A-ZÀ-ÞА-Я0-9])")
ABBREVIATION = re.compile(
    r"(?:^|[\s(])(?:e\.g|i\.e|etc|vs|z\.\s?b|d\.\s?h|bzw|usw|u\.a|ca|ggf|inkl|max|min|vgl|approx|cf|p\.\s?ex|ej|nr|no|"
    r"fig|\w)\.$",
    re.I)
LONGEST = 900


def plain(text: str) -> str:
    """Without markup: tags, entities, roff and Texinfo commands, Markdown emphasis and links, list markers."""
    text = re.sub(r"<!--.*?-->|</?[A-Za-z][^<>]{0,300}>", "", text, flags=re.S)
    text = html.unescape(text)
    text = re.sub(r"\\f(?:\[\w*\]|\(\w\w|\w)|\\&|\\c$|\\:|\\\^|\\\|", "", text)
    text = re.sub(r"\\\((?:aq|cq)", "'", text).replace("\\(bu", "•").replace("\\(em", "—").replace("\\(en", "–")
    text = re.sub(r"\\(?:\[[a-z]q\]|\([lr]q)", '"', text).replace("\\-", "-").replace("\\e", "\\").replace("\\ ", " ")
    text = re.sub(r"@\w+\{([^{}]*)\}", r"\1", text)
    text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", text).replace("**", "").replace("``", "")
    text = unicodedata.normalize("NFC", text).replace("\u00ad", "").replace("\u200b", "")
    return re.sub(r"^(?:[-*•–]|\d+[.)])\s+", "", " ".join(text.split()))


def without_accelerators(english: str, other: str) -> tuple[str, str]:
    """Menu accelerators (&File, Set_up, ~File) taken out where a side has one; in snake_case on both sides left."""
    for mark in "&_~":
        rule = re.compile(re.escape(mark) + r"(?=[^\W_])")
        snake = mark == "_" and set(re.findall(r"\w+_\w+", english)) & set(re.findall(r"\w+_\w+", other))
        if not snake and all(len(rule.findall(t)) <= 1 and t.count(mark) <= 1 for t in (english, other)):
            english, other = rule.sub("", english), rule.sub("", other)
    return english, re.sub(r"\s?\([&_~]\w\)", "", other)


def sentences(text: str) -> list[str]:
    """Split after sentence ends before a capital or digit, not after abbreviations and initials."""
    out, start = [], 0
    for m in SENTENCE_END.finditer(text):
        if not ABBREVIATION.search(text[start:m.start() + 1]):
            out.append(text[start:m.end()].strip())
            start = m.end()
    return [*out, text[start:].strip()]


def split(english: str, other: str):
    """Paragraph by paragraph and sentence by sentence where both sides have as many of about the same length."""
    a, b = (re.split(r"\n\s*\n", t.strip()) for t in (english, other))
    if len(a) != len(b):
        a, b = [english], [other]
    for x, y in zip(a, b):
        x, y = plain(CONTEXT.sub("", x)), plain(y)
        xs, ys = sentences(x), sentences(y)
        ratio = (len(y) + 1) / (len(x) + 1)
        if len(xs) == len(ys) and all(0.4 < (len(q) + 6) / (len(p) + 6) / ratio < 2.5 for p, q in zip(xs, ys)):
            yield from zip(xs, ys)
        else:
            yield x, y


def acceptable(english: str, other: str, language: str) -> bool:
    """Whether this looks like a sentence or label and its translation into `language`."""
    if not english or not other or max(len(english), len(other)) > LONGEST or CREDITS.search(english):
        return False
    if english.casefold() == other.casefold() or english.count("|") >= 3:
        return False
    words, found = WORD.findall(english), WORD.findall(other)
    letters = sum(map(len, words))
    if not words or letters < 0.55 * len(english.replace(" ", "")) or not found:
        return False
    ratio, n = len(other) / len(english), len(words)
    if not (0.5 <= ratio <= 2.3 if n >= 5 else 0.25 <= ratio <= 5):
        return False
    if len(PLACEHOLDER.findall(english)) != len(PLACEHOLDER.findall(other)):
        return False
    if n == 1 and re.search(r"[a-z][A-Z]|[./\\=_]", english):
        return False
    return n < 4 or right_languages(words, found, language) and same_numbers(english, other)


def right_languages(words: list[str], found: list[str], language: str) -> bool:
    """The source is not in the target's language, the target not in English nor a copy."""
    own, theirs = [w.lower() for w in words], [w.lower() for w in found]
    count = lambda text, tongue: sum(w in WORDS[tongue] for w in text)
    if len(own) >= 6 and count(own, language) > count(own, "en") + 1:
        return False
    if count(theirs, "en") >= 2 and count(theirs, "en") > count(theirs, language):
        return False
    if len(own) >= 10 and count(theirs, language) == 0:
        return False
    source = set(own)
    return len(theirs) < 5 or sum(w in source for w in theirs) <= 0.7 * len(theirs)


def same_numbers(english: str, other: str) -> bool:
    """Every number of three digits or more occurs on the other side, whatever groups its digits."""
    join = lambda t: re.sub(r"(?<=\d)[.,\u00a0\u202f '’](?=\d{3})", "", t)
    return set(re.findall(r"\d{3,}", join(english))) <= set(re.findall(r"\d+", join(other)))
