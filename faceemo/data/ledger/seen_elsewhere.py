"""Images of a ledger that another model was trained on, themselves or as a twin."""

import re
from collections.abc import Collection, Sequence
from pathlib import Path, PurePosixPath

from faceemo.data.ledger.groups import BYTES, Twins
from faceemo.data.ledger.ledger import Row
from faceemo.data.ledger.rules import Rules
from faceemo.errors import UserError

SEEN = "seen"  # the image itself
TWIN_SEEN = "twin seen"  # only one with the same bytes, pixels or dHash, or a near one
UNSEEN = "unseen"

_MAX_SHOWN = 60  # characters of a bad entry in a message


def classify(
    rows: Sequence[Row], training_images: Collection[int | str], rules: Rules
) -> dict[str, str]:
    """Classifies images by whether another model was trained on them.

    A twin can only be found among `rows`: pass the whole ledger, whatever is evaluated.

    Args:
        rows: Rows with their measured fields.
        training_images: The other model's training images: FER rows (whole numbers, which the
            file names are), sha256 of files or of pixels (`Row.pixels_sha256`).
        rules: Rules that say which near and mirrored images are twins.

    Returns:
        `SEEN`, `TWIN_SEEN` or `UNSEEN` by the path of the image.
    """
    training_images = frozenset(training_images)
    seen = {
        row.path
        for row in rows
        if not training_images.isdisjoint((parse_fer_row(row.path), row.sha256, row.pixels_sha256))
    }
    twins = Twins(rows, rules)
    # once for all images with the same pixels or hash, not once for each of them
    beside = {twin.path for row in rows if row.path in seen for twin, _ in twins.matches(row)}
    beside |= {
        twin.path for row in rows if row.path in seen for twin in twins.equal_rows(row, BYTES)
    }
    return {
        row.path: SEEN if row.path in seen else TWIN_SEEN if row.path in beside else UNSEEN
        for row in rows
    }


def parse_fer_row(path: str) -> int | None:
    """Parses the FER2013 row in a file's name ('28709.jpg', 'Training_28709.jpg'), if any."""
    match = re.fullmatch(r"(?:.*_)?([0-9]+)", PurePosixPath(path).stem)
    return int(match[1]) if match else None


def parse_rows(text: str) -> frozenset[int]:
    """Parses FER rows written as '0-28708' or '5,7,100-200', both ends included.

    Raises:
        UserError: If an entry is neither a row nor a range.
    """
    rows: set[int] = set()
    for entry in text.split(","):
        match = re.fullmatch(r"\s*([0-9]{1,9})(?:\s*-\s*([0-9]{1,9}))?\s*", entry)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if first > last:
            raise UserError(
                expected="rows as '0-28708' or '5,7,100-200', the smaller end first",
                found=repr(entry[:_MAX_SHOWN]),
                fix="correct this entry",
            )
        rows.update(range(first, last + 1))
    return frozenset(rows)


def read_training_images(path: Path) -> frozenset[int | str]:
    """Reads a text file with a FER row, a range of rows or a sha256 (of file or pixels) a line.

    Anything after a '#', or after a sha256 and white space, is ignored; so the output of sha256sum
    is accepted.

    Raises:
        UserError: If the file cannot be read or a line is none of these.
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
                    found=repr(entry[:_MAX_SHOWN]),
                    fix="correct this line",
                ) from error
    return frozenset(found)
