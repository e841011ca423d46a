"""Rows of a made-up ledger."""

from faceemo.data.ledger import ledger


def row(path, **fields):
    """Makes the row of a kept image whose sha256, pixels and hash are unique: its path."""
    split, label, _ = path.split("/")
    plain = {
        "path": path,
        "sha256": path,
        "bytes": 1,
        "split": split,
        "label": label,
        "mode": "L",
        "width": 48,
        "height": 48,
        "dhash": path,
        "pixels_sha256": path,
        "fate": ledger.KEPT,
        "reason": "",
    }
    return ledger.Row(**plain | fields)
