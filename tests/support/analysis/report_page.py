"""Writes reports of predictions, and parses their pages."""

import html.parser

import pytest

from faceemo.analysis.report import report

SUMMARY = {
    "arch": "vgg16",
    "variant": 7,
    "majority_baseline": 0.367,
    "params_total": 134276932,
    "seed": 1991921,
    "config": {"dataset": "folder", "learning_rate": 1e-5, "extra_dense": True},
    "versions": {"jax": "0.10.2"},
}


def write(folder, predictions, history, **changes):
    """Writes a report on validation, with `changes` of the arguments; returns its page."""
    arguments = {"split": "validation", "history": history, "summary": SUMMARY} | changes
    return report.write(folder, predictions=predictions, **arguments)


class Page(html.parser.HTMLParser):
    """A page's tags with their attributes, and its visible text."""

    def __init__(self, path):
        super().__init__()
        self.tags, self.text = [], ""
        self._style = False
        self.feed(path.read_text("utf-8"))

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self._style = tag == "style"

    def handle_endtag(self, tag):
        self._style = False

    def handle_data(self, data):
        if not self._style:
            self.text += data


@pytest.fixture(scope="session")
def few(make_predictions):
    """Returns few predictions that still confuse several pairs."""
    return make_predictions(n=16)


@pytest.fixture(scope="session")
def written(tmp_path_factory, predictions):
    """Returns the page of a report with three epochs. Tests only read it."""
    rows = [
        {"epoch": epoch, "train/loss": 1.0, "train/accuracy": 0.5, "validation/loss": 1.0,
         "validation/accuracy": epoch / 10, "seconds": 1.0, "images_per_second": 9.0}
        for epoch in (1, 2, 3)
    ]  # fmt: skip
    return write(tmp_path_factory.mktemp("run") / "validation", predictions, rows)
