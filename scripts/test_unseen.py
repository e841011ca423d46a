"""Evaluates finished runs on the test split, once, and records that it was opened.

    python scripts/test_unseen.py checkpoints/final/vgg16-7 checkpoints/final/efficientnetb0-9

Run it after all choices are made. It restores each run's best epoch and writes WORKDIR/report/test
and WORKDIR/test_opened.json. A run whose test split was opened before is refused unless --again is
given: a model chosen by its test result has no unbiased test result any more.
"""

from pathlib import Path

from faceemo import errors
from faceemo.commands.parser import Parser
from faceemo.experiments import run

if __name__ == "__main__":
    parser = Parser(description=__doc__)
    parser.add_argument(
        "workdirs", nargs="+", type=Path, metavar="WORKDIR", help="folder of a finished run"
    )
    parser.add_argument(
        "--again",
        action="store_true",
        help="evaluate on the test split although it was opened before; this is recorded too",
    )
    options = parser.parse_args()
    with errors.reported():
        for workdir in options.workdirs:
            run.open_test(workdir, again=options.again)
