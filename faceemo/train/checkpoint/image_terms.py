"""The source and the terms of the images behind a network, as the owner of the images states them.

A run takes them from the dataset's folder, and hands them on in its recipe. The recipes of older
runs lack them; the card beside a stored network may have them.
"""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from faceemo.assets import builtin

NOTE = "SOURCE.txt"  # in the dataset's folder
CARD = "card.md"  # in a run's folder, or beside a stored network
DRAWN = "MIT: drawn by faceemo itself; they show nobody"
FIELD = "image_terms"  # of a recipe: {digest of a run's training images: their terms}


def read_note(root: Path) -> str | None:
    """Returns the text of `NOTE` in a dataset's folder, on one line; None if there is none."""
    note = root / NOTE
    text = note.read_text(encoding="utf-8", errors="replace") if note.is_file() else ""
    return " ".join(text.split()) or None


def read_own(config: ConfigDict, root: Path) -> str | None:
    """Returns the terms of a run's own images, or None if they are not recorded.

    Args:
        config: The run's configuration.
        root: Folder of its dataset.
    """
    return DRAWN if config.dataset == "sample" else read_note(root)


def quote(terms: str) -> str:
    """Returns the sentence of a card that `read_card` reads; `terms` is escaped Markdown."""
    return f"Source and licence, as {NOTE} beside the images says: {terms}"


def read_card(path: Path) -> str | None:
    """Reads the terms of a network's own training images from its card.

    Args:
        path: The card, which need not exist.
    """
    text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    found = re.search(rf"^Source.* {re.escape(NOTE)} .*?: (.+)$", text, re.MULTILINE)
    return re.sub(r"\\(.)", r"\1", found[1]) if found else None


def collect(sources: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Returns the terms of all images behind the sources of a run, as far as they are recorded.

    Args:
        sources: A recipe's entries for its initial weights and its teachers.

    Returns:
        Terms by the digest of the training images of a run, as in `FIELD`.
    """
    terms = {}
    for source in sources:
        if trained := source.get("trained"):
            digest = trained["data"]["train"]
            path = Path(source["source"])
            card = builtin.FOLDERS.get(source["source"], path.parent) / CARD
            # A card of another network may lie there.
            if card.is_file() and digest in card.read_text(encoding="utf-8", errors="replace"):
                beside = read_card(card)
                terms |= {digest: beside} if beside else {}
            terms |= trained.get(FIELD, {})
    return terms
