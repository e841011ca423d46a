"""Opens the test split, once, for runs whose choice is made; writes down that it did.

    python scripts/test_unseen.py checkpoints/final/vgg16-7 checkpoints/final/efficientnetb0-9

Restores each run's best epoch, writes WORKDIR/report/test and WORKDIR/test_opened.json. A run whose
test split was opened before is refused: what is chosen by a test result is not tested any more.
"""

import argparse
from pathlib import Path

from faceemo import errors
from faceemo.experiments import run

if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("workdirs", nargs="+", type=Path, metavar="WORKDIR")
    parser.add_argument("--again", action="store_true", help="open it again, which is recorded too")
    options = parser.parse_args()
    with errors.reported():
        for workdir in options.workdirs:
            run.open_test(workdir, again=options.again)
