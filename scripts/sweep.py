"""Trains many variants one after the other and ranks them on validation.

    python scripts/sweep.py --archs vgg16 --variants 0-3 7 --overrides image_size=48

Each run is a process of its own. The same command skips what is finished, resumes what was
interrupted and tries again what failed. Of finished runs only the best weights are kept.
"""

import argparse
import re
import signal
from pathlib import Path

from faceemo import errors, sweep
from faceemo.analysis import leaderboard
from faceemo.config import ARCHS, VARIANTS


def variants(texts: list[str]) -> list[int | str]:
    """'0-3', '7', 'best' as [0, 1, 2, 3, 7, 'best']."""
    found: list[int | str] = []
    for text in texts:
        if text == "best":
            found.append(text)
        elif match := re.fullmatch(r"(\d+)(?:-(\d+))?", text):
            first, last = match.group(1), match.group(2) or match.group(1)
            found.extend(range(int(first), int(last) + 1))
        else:
            raise errors.UserError(
                expected="variants as 0-11, 7 or best", found=f"'{text}'", fix="change --variants"
            )
    return found


def main() -> int:
    """Reads the arguments, sweeps, writes the leaderboard; 1 if a run failed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--archs", nargs="+", default=ARCHS, choices=ARCHS)
    parser.add_argument("--variants", nargs="+", default=[f"0-{len(VARIANTS) - 1}"])
    parser.add_argument("--seeds", type=int, default=1, help="how many, from the config's seed on")
    parser.add_argument("--overrides", default="", help="field=value pairs, separated by commas")
    parser.add_argument("--root", type=Path, default=Path("checkpoints/sweep"))
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with errors.reported():
        runs = sweep.plan(
            options.root,
            options.archs,
            variants(options.variants),
            options.seeds,
            options.overrides,
        )
        try:
            failed = sweep.sweep(runs, options.root, Path(__file__).parents[1] / "configs")
        except KeyboardInterrupt:
            print("\nstopped; the run under way has saved, the same command goes on")
            return 128 + signal.SIGINT
        print()
        if len(failed) < len(runs):
            rows = leaderboard.read(options.root)
            page = leaderboard.write(options.root, rows, failed)
            print(f"{leaderboard.table(rows)}\n")
            print(f"leaderboard {page}\n            {page.with_suffix('.csv')}")
        for name, reason in failed.items():
            print(f"failed      {name}: {reason}")
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
