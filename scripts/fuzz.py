"""Fuzzes faceemo with damaged files and requests.

    python scripts/fuzz.py --target predictor --inputs 10000 --seed 0
    python scripts/fuzz.py --target zip --replay /tmp/faceemo-fuzz/zip-0.zip

Targets: `predictor` reads image files and films as `faceemo predict` does; `zip` prepares zips and
csvs; `server` receives requests as `faceemo serve` does, each on its own connection. Each input
must lead to a result or to a UserError (for the server: to a response) within one second of CPU
time, and the process must neither end nor grow. Hypothesis generates the inputs: the same seed and
version make the same ones. A failing input is simplified and saved, and the command that replays it
is printed; the exit code is then 1.
"""

import sys
import tempfile
from pathlib import Path

from fuzzing import fuzzer

from faceemo.commands.parser import Parser


def main() -> int:
    """Runs the fuzzer or replays one input; returns the exit code."""
    parser = Parser(description=__doc__)
    parser.add_argument("--target", required=True, choices=list(fuzzer.SOURCES))
    parser.add_argument(
        "--inputs", type=int, default=10_000, help="number of inputs (default: %(default)s)"
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="seed of the inputs (default: %(default)s)"
    )
    parser.add_argument("--replay", type=Path, metavar="FILE", help="run this one input only")
    parser.add_argument(
        "--out",
        type=Path,
        default=Path(tempfile.gettempdir(), "faceemo-fuzz"),
        metavar="FOLDER",
        help="folder for failing inputs (default: %(default)s)",
    )
    options = parser.parse_args()
    fuzz = fuzzer.Fuzzer(options.target, options.out)
    if options.replay:
        fuzz.replay(options.replay)
    else:
        fuzz.run(options.inputs, options.seed)
    print(fuzz.format_report())
    return 1 if fuzz.failures else 0


if __name__ == "__main__":
    sys.exit(main())
