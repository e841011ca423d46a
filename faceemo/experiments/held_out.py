"""The test split is opened once, and that it was is on record."""

import datetime
import json
from pathlib import Path

from faceemo import staging
from faceemo.errors import UserError

NAME = "test_opened.json"
_REPORT = Path("report", "test", "index.html")


def record(workdir: Path) -> None:
    """Writes down that the test split of a run is opened now; before anything of it is seen."""
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    with staging.file(workdir / NAME) as partial:
        partial.write_text(json.dumps([*_openings(workdir), now]) + "\n", encoding="utf-8")


def refuse_again(workdir: Path) -> None:
    """Refuses a run whose test split was opened before.

    Raises:
        UserError: if so, also where nothing but a report tells of it.
    """
    opened, report = _openings(workdir), workdir / _REPORT
    if not opened and not report.is_file():
        return
    when = f" on {', '.join(opened)}" if opened else ""
    what = f"{report} holds the result" if report.is_file() else "no report was finished"
    raise UserError(
        expected=f"a run whose test split is unseen in {workdir}",
        found=f"that it was opened{when} ({what})",
        fix="read that report; --again opens it once more, and notes that",
    )


def _openings(workdir: Path) -> list[str]:
    path = workdir / NAME
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []
