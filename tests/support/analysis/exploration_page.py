"""Parses the page about a dataset, and opens the images that it shows."""

import html.parser
import io
import json

from PIL import Image

from faceemo.analysis.dataset import exploration

SEED = 3


def read_ledger_lines(root):
    """Reads the ledger without faceemo's code."""
    return [json.loads(line) for line in (root / "ledger.jsonl").read_text().splitlines()]


def open_image(path):
    """Opens an image with Pillow, from memory so that a truncated file is not left open."""
    return Image.open(io.BytesIO(path.read_bytes()))


class Page(html.parser.HTMLParser):
    """A page's visible text, its images' addresses, and its tables as lists of rows."""

    def __init__(self, root):
        super().__init__()
        self.text, self.addresses, self.rows, self.ids, self.links = "", [], [], set(), set()
        self.titles = []
        self._style = self._cell = False
        self.feed((root / exploration.NAME).read_text("utf-8"))
        self.text = " ".join(self.text.split())

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.addresses += [attributes[n] for n in ("src", "srcset") if n in attributes]
        self.ids |= {attributes["id"]} if "id" in attributes else set()
        self.links |= {attributes["href"]} if "href" in attributes else set()
        self.titles += (
            [attributes["title"]] if tag in ("img", "div") and "title" in attributes else []
        )
        self._style = tag == "style"
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th") and self.rows:
            self.rows[-1].append("")
            self._cell = True

    def handle_endtag(self, tag):
        self._style = False
        self._cell = self._cell and tag not in ("td", "th")

    def handle_data(self, data):
        if not self._style:
            self.text += data
            if self._cell:
                self.rows[-1][-1] += data.strip()

    def section(self, start, end):
        return self.text[self.text.index(start) : self.text.index(end)]
