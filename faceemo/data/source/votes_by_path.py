"""The votes on the originals and the labels of their source, as a file in a dataset's folder."""

import dataclasses
import json
from pathlib import Path

from faceemo import staging

NAME = "votes.json"


@dataclasses.dataclass(frozen=True)
class VotesByPath:
    """What the source, or a table beside it, says of the originals.

    Attributes:
        counts: Votes by name, of each image that has any, by its path below the originals' folder.
            Names of classes are those of the run.
        given: The source's own label of each image, by its path; '' if it has none.
    """

    counts: dict[str, dict[str, int]] = dataclasses.field(default_factory=dict)
    given: dict[str, str] = dataclasses.field(default_factory=dict)


def write(root: Path, votes: VotesByPath | None) -> None:
    """Writes root/votes.json, or removes it if there are no votes."""
    if votes is None or not votes.counts:
        (root / NAME).unlink(missing_ok=True)
        return
    with staging.file(root / NAME) as partial:
        partial.write_text(json.dumps(vars(votes)), encoding="ascii")


def read(root: Path) -> VotesByPath:
    """Reads root/votes.json; no votes if there is no such file."""
    path = root / NAME
    if not path.is_file():
        return VotesByPath()
    return VotesByPath(**json.loads(path.read_text(encoding="ascii")))
