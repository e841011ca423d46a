"""The record of when a run's test split was opened, which should happen once."""

import datetime
import json
from pathlib import Path

from faceemo import staging
from faceemo.errors import UserError

NAME = "test_opened.json"  # a list of times, ISO 8601
_REPORT = Path("report", "test", "index.html")


def record_opening(workdir: Path) -> None:
    """Records that the run's test split is opened now.

    Call it before anything is predicted on the split.
    """
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    with staging.file(workdir / NAME) as partial:
        partial.write_text(json.dumps([*_read_openings(workdir), now]) + "\n", encoding="utf-8")


def refuse_reopening(workdir: Path) -> None:
    """Refuses a run whose test split was opened before.

    Raises:
        UserError: If there is a record of it, or a report on the test split without a record.
    """
    openings, report = _read_openings(workdir), workdir / _REPORT
    if not openings and not report.is_file():
        return
    when = f" on {', '.join(openings)}" if openings else ""
    outcome = f"its report is {report}" if report.is_file() else "no report was finished"
    raise UserError(
        expected=f"a run in {workdir} whose test split has not been opened",
        found=f"one whose test split was opened{when} ({outcome})",
        fix=("read that report, or " if report.is_file() else "")
        + "give --again to open the test split once more (this is recorded, too)",
    )


def _read_openings(workdir: Path) -> list[str]:
    path = workdir / NAME
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []
