"""Which images of a ledger another model has seen in its training, itself or a twin of them."""

import re
from collections.abc import Collection, Sequence
from pathlib import Path, PurePosixPath

from faceemo.data.ledger.groups import KINDS, Twins
from faceemo.data.ledger.ledger import Row
from faceemo.data.ledger.rules import Rules
from faceemo.errors import UserError

SEEN = "seen"  # the image itself
TWIN = "twin seen"  # not it, but one with the same bytes, pixels or dHash, or a near one
UNSEEN = "unseen"

_SHOWN = 60  # characters of a bad entry


def seen(rows: Sequence[Row], trained: Collection[int | str], rules: Rules) -> dict[str, str]:
    """Whether another model has seen each image: {path: `SEEN`, `TWIN` or `UNSEEN`}.

    A twin can only be found among `rows`: pass the whole ledger, whatever is evaluated.

    Args:
        rows: with their measured fields.
        trained: what the model was trained on: FER rows (whole numbers, which the file names
            are), sha256 of files or of pixels (`Row.pixels_sha256`).
        rules: how near is near.
    """
    trained = frozenset(trained)
    own = {
        row.path
        for row in rows
        if not trained.isdisjoint((fer_row(row.path), row.sha256, row.pixels_sha256))
    }
    twins = Twins(rows, rules)
    # once for all images with the same pixels or hash, not once for each of them
    beside = {twin.path for row in rows if row.path in own for twin, _ in twins.matching(row)}
    beside |= {twin.path for row in rows if row.path in own for twin in twins.equals(row, KINDS[0])}
    return {
        row.path: SEEN if row.path in own else TWIN if row.path in beside else UNSEEN
        for row in rows
    }


def fer_row(path: str) -> int | None:
    """The row of FER2013 that a file's name says: '28709.jpg', 'Training_28709.jpg'."""
    match = re.fullmatch(r"(?:.*_)?([0-9]+)", PurePosixPath(path).stem)
    return int(match[1]) if match else None


def parse_rows(text: str) -> frozenset[int]:
    """FER rows from '0-28708' or '5,7,100-200', both ends included.

    Raises:
        UserError: if an entry is neither a row nor a range.
    """
    rows: set[int] = set()
    for entry in text.split(","):
        match = re.fullmatch(r"\s*([0-9]{1,9})(?:\s*-\s*([0-9]{1,9}))?\s*", entry)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if first > last:
            raise UserError(
                expected="rows as '0-28708' or '5,7,100-200', the smaller end first",
                found=repr(entry[:_SHOWN]),
                fix="correct this entry",
            )
        rows.update(range(first, last + 1))
    return frozenset(rows)


def read_trained(path: Path) -> frozenset[int | str]:
    """FER rows, ranges of them and sha256 (of files or pixels) from a text file, one a line.

    What follows a '#' or a sha256 and white space is left out, so that the output of sha256sum
    will do.

    Raises:
        UserError: if there is no such file or a line is none of these.
    """
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        raise UserError(
            expected=f"a text file of rows or hashes at {path}",
            found=error.strerror or str(error),
            fix="name a file that exists",
        ) from error
    found: set[int | str] = set()
    for number, line in enumerate(lines, 1):
        entry = line.partition("#")[0].strip()
        if match := re.match(r"([0-9a-fA-F]{64})(?:\s|$)", entry):
            found.add(match[1].lower())
        elif entry:
            try:
                found |= parse_rows(entry)
            except UserError as error:
                raise UserError(
                    expected=f"a row, a range of rows or a sha256 in line {number} of {path}",
                    found=repr(entry[:_SHOWN]),
                    fix="correct this line",
                ) from error
    return frozenset(found)
