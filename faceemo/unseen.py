"""The test split is opened once, and that it was is on record."""

import datetime
import json
from pathlib import Path

from ml_collections import ConfigDict

from faceemo import runs, staging
from faceemo.config import make_config
from faceemo.errors import UserError
from faceemo.train.checkpoint import recipe_of

NAME = "test_opened.json"


def open_test(workdir: Path, *, again: bool = False) -> None:
    """Reports on the test split by the best epoch of a finished run.

    The record is written before anything of the test split is seen.

    Args:
        workdir: of the run.
        again: whether to go on though it was opened before.

    Raises:
        UserError: if there is no run, or its test split was opened before.
    """
    recipe = recipe_of(workdir)
    path = workdir / NAME
    opened = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []
    if opened and not again:
        raise UserError(
            expected=f"a run whose test split is unseen in {workdir}",
            found=f"that it was opened on {', '.join(opened)} (report/test holds the result)",
            fix="read that report; --again opens it once more, and notes that",
        )
    opened.append(datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"))
    with staging.file(path) as partial:
        partial.write_text(json.dumps(opened) + "\n", encoding="utf-8")
    config = make_config(recipe["config"]["arch"]).to_dict() | recipe["config"]
    runs.evaluate(ConfigDict(config), workdir, "test")
