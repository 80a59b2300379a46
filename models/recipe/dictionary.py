"""Everyday words, which software's texts lack: pairs of dictionaries as rows for tokens.py.

    python dictionary.py OUT [--ding FILE] [--freedict FILE...] [--cldr FOLDER]

Writes OUT/en-de.tsv, en-fr.tsv and en-es.tsv with lines `English TAB translation TAB origin`, of common words only
(wordfreq's Zipf scale: occurrences in a thousand million words, as a power of ten).

- Ding (package trans-de-en, /usr/share/trans/de-en): a line is `German | its forms :: English | its forms`, synonyms
  with semicolons between, notes in brackets.
- FreeDict (packages dict-freedict-eng-XXX and XXX-eng, /usr/share/dictd/freedict-XXX-YYY.dict.dz): a headword with its
  pronunciation, then a line of translations.
- CLDR (npm packages cldr-annotations-full, cldr-annotations-derived-full, cldr-localenames-full, cldr-dates-full, in one
  folder): names of emoji, countries, languages, months and days, by the same keys in every language.
"""
import argparse
import gzip
import json
import pathlib
import re

from wordfreq import zipf_frequency

from holdout import key
from tokens import write_rows

LANGUAGES = ("de", "fr", "es")
LEAST_ZIPF = {"en": 3.2, "de": 2.4, "fr": 2.6, "es": 2.6}
"""Of a phrase's rarest word. German compounds are rare one by one."""
LOWER = 0.5
"""Taken off for a phrase of SENTENCE words or more, which teaches more than one word."""
SENTENCE = 4
SYNONYMS = 2
LONGEST_WORDS = 20
THREE = {"eng": "en", "fra": "fr", "spa": "es", "deu": "de"}
OBJECTS = re.compile(r"(?:^|(?<=\s))(?:etw|jdn|jdm|jds|jd|sth|sb)\.(?:'s)?(?=\s|$)")
"""`something` and `somebody` as dictionaries shorten them."""


def common(text: str, language: str) -> bool:
    """Whether every word is one that many people use."""
    words = re.findall(r"[^\W\d_]+", text)
    least = LEAST_ZIPF[language] - (LOWER if len(words) >= SENTENCE else 0)
    return 0 < len(words) <= LONGEST_WORDS and all(zipf_frequency(w, language) >= least for w in words)


def plain(text: str) -> str:
    """Without notes in brackets and shortened objects, of alternatives with a slash the first; empty if unclear."""
    text = re.sub(r"\{[^}]*\}|\[[^\]]*\]|\([^)]*\)|<[^>]*>", " ", text)
    text = OBJECTS.sub(" ", text)
    text = re.sub(r"(\w+)/[\w/]+", r"\1", text)
    text = re.sub(r"\s+", " ", text).strip(" ,;:-")
    return "" if re.search(r"[()\[\]{}<>/|~…]|\.\.\.|\w\.\s", text) else text


def rows_of(english: list[str], other: list[str]):
    """The first of each side, and the first with the other side's synonyms."""
    english, other = [list(filter(None, map(plain, side)))[:SYNONYMS] for side in (english, other)]
    if english and other:
        yield english[0], other[0]
        yield from ((e, other[0]) for e in english[1:])
        yield from ((english[0], o) for o in other[1:])


def lines(path: str, opener):
    with opener(path, "rt", encoding="utf8") as f:
        yield from f


def ding(path: str):
    """(language, English, German) of every form of every entry."""
    for line in lines(path, open):
        german, _, english = line.partition("::")
        if line.startswith("#") or not english:
            continue
        for g, e in zip(german.split("|"), english.split("|"), strict=False):
            for row in rows_of(e.split(";"), g.split(";")):
                yield "de", *row


def freedict(path: str):
    """(language, English, other) of a dictionary from or into English."""
    source, target = re.search(r"freedict-(\w+)-(\w+)\.dict", path).groups()
    entry = None
    for line in lines(path, gzip.open):
        head = re.fullmatch(r"(\S.*?) /.*/(?: <[\w, ]+>)?", line.rstrip())
        if head:
            entry = head[1]
        elif entry:
            found = re.sub(r"\s\d+\.$", "", line.strip()).split(",")
            sides = {source: [entry], target: found}
            other = (set(sides) - {"eng"}).pop()
            for row in rows_of(sides["eng"], sides[other]):
                yield THREE[other], *row
            entry = None


def named(value, path=()):
    """(path, text) of every text in nested objects."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict):
        for k, v in value.items():
            yield from named(v, (*path, k))


def cldr_texts(folder: pathlib.Path, language: str) -> dict:
    """Texts of one language by their place in CLDR."""
    found = {}
    for package, file, inside in (
        ("cldr-annotations-full/annotations", "annotations.json", "annotations"),
        ("cldr-annotations-derived-full/annotationsDerived", "annotations.json", "annotationsDerived"),
        ("cldr-localenames-full/main", "territories.json", None),
        ("cldr-localenames-full/main", "languages.json", None),
        ("cldr-dates-full/main", "ca-gregorian.json", None),
        ("cldr-dates-full/main", "dateFields.json", None),
    ):
        content = json.loads((folder / package / language / file).read_text("utf8"))
        if inside:
            names = {k: v["tts"][0] for k, v in content[inside]["annotations"].items() if "tts" in v}
        else:
            names = content["main"][language]
        found |= {(file, *path): text for path, text in named(names)}
    return found


def cldr(folder: str):
    """(language, English, other) of the names that both have."""
    texts = {language: cldr_texts(pathlib.Path(folder), language) for language in ("en", *LANGUAGES)}
    for place, english in texts["en"].items():
        if re.search("[{%]|skin tone", english) or "identity" in place:
            continue
        for language in LANGUAGES:
            other = texts[language].get(place)
            if other:
                yield language, english, other


def main() -> None:
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("out")
    ap.add_argument("--ding", nargs="*", default=[])
    ap.add_argument("--freedict", nargs="*", default=[])
    ap.add_argument("--cldr", nargs="*", default=[])
    a = ap.parse_args()
    sources = [("dict/ding", ding, a.ding), ("dict/freedict", freedict, a.freedict), ("dict/cldr", cldr, a.cldr)]
    rows = {language: {} for language in LANGUAGES}
    for origin, read, paths in sources:
        for path in paths:
            for language, english, other in read(path):
                if common(english, "en") and common(other, language) and len(key(english)) > 1:
                    rows[language].setdefault((english, other), origin)
    for language, found in rows.items():
        write_rows(a.out, language, ((*pair, origin) for pair, origin in found.items()))
        print(language, len(found), "pairs,", sum(len(e.split()) for e, _ in found), "English words")


if __name__ == "__main__":
    main()
