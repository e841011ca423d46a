"""Writes the pages of the documentation that follow from the code.

    python scripts/write_docs.py configuration troubleshooting
    python scripts/write_docs.py tutorial product tour

`configuration` is made from the table of fields, `troubleshooting` from the errors in the code;
both take a second. `tutorial` trains on drawn faces and copies what the commands print and draw
into the page; it takes minutes, and needs Chromium for two screenshots. `product` draws the
README's picture, with the tutorial's picture of a report. `tour` runs the notebook
examples/tour.ipynb and keeps its outputs in it, which takes two minutes.
"""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))  # the tutorial uses tests.support.chromium

from documentation import configuration, product, tour, troubleshooting, tutorial

from faceemo import errors, staging
from faceemo.commands.parser import Parser

DOCS = Path(__file__).parents[1] / "docs"


def write_configuration() -> Path:
    """Writes docs/configuration.md."""
    return write(DOCS / "configuration.md", configuration.render())


def write_troubleshooting() -> Path:
    """Writes the list in docs/troubleshooting.md; the rest of the page stays."""
    path = DOCS / "troubleshooting.md"
    return write(path, troubleshooting.render(path.read_text("utf-8")))


def write_tutorial() -> Path:
    """Runs the tutorial, and writes its outputs and pictures."""
    path = DOCS / "tutorial.md"
    return write(path, tutorial.render(path.read_text("utf-8"), DOCS / "images"))


def write_product() -> Path:
    """Draws docs/images/product.png."""
    images = DOCS / "images"
    return product.draw(
        images / "astronaut.jpg", images / "tutorial_report.png", images / "product.png"
    )


def write_tour() -> Path:
    """Runs examples/tour.ipynb, and writes its outputs."""
    path = DOCS.parent / "examples" / "tour.ipynb"
    return write(path, tour.render(path.read_text("utf-8")))


def write(path: Path, text: str) -> Path:
    """Writes a page, whole or not at all, and returns its path."""
    with staging.file(path) as partial:
        partial.write_text(text, encoding="utf-8")
    return path


PAGES = {
    "configuration": write_configuration,
    "troubleshooting": write_troubleshooting,
    "tutorial": write_tutorial,
    "product": write_product,
    "tour": write_tour,
}


def main() -> None:
    """Writes the pages that the command line names."""
    parser = Parser(description=__doc__)
    parser.add_argument("pages", nargs="+", choices=list(PAGES), help="pages to write")
    options = parser.parse_args()
    with errors.reported():
        for page in options.pages:
            print(PAGES[page]())


if __name__ == "__main__":
    main()
