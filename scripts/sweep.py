"""Trains many variants one after the other and ranks them by validation accuracy.

    python scripts/sweep.py --archs vgg16 --variants 0-3 7 --overrides image_size=48

Each run has its own process. The same command skips finished runs, resumes interrupted ones and
tries failed ones again. Finished runs keep only their best weights.
"""

import itertools
import re
from pathlib import Path

from faceemo import errors
from faceemo.config import ARCHS, STUDY, VARIANTS
from faceemo.experiments import cli, sweep

CONFIGS = Path(__file__).parents[1] / "configs"


def parse_variants(texts: list[str]) -> list[int | str]:
    """Parses ['0-3', '7', 'best'] to [0, 1, 2, 3, 7, 'best'].

    Raises:
        UserError: If a text is none of a number, a range and 'best'.
    """
    variants: list[int | str] = []
    for text in texts:
        if text == "best":
            variants.append(text)
            continue
        match = re.fullmatch(r"(\d+)(?:-(\d+))?", text)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if first > last:
            raise errors.UserError(
                expected="--variants such as 0-11 (the smaller number first), 7 or best",
                found=f"'{text}'",
                fix="give numbers, ranges or best, separated by spaces",
            )
        variants.extend(range(first, last + 1))
    return variants


def main() -> int:
    """Trains the runs and writes the leaderboard; returns the exit code."""
    parser = cli.make_parser(__doc__, Path("checkpoints/sweep"))
    parser.add_argument("--archs", nargs="+", default=STUDY, choices=ARCHS, help="backbones")
    parser.add_argument(
        "--variants", nargs="+", default=[f"0-{len(VARIANTS) - 1}"], help="numbers, ranges, 'best'"
    )
    options = parser.parse_args()

    def plan_runs() -> list[sweep.Run]:
        models = itertools.product(options.archs, parse_variants(options.variants))
        return sweep.plan_runs(options.root, models, options.seeds, options.overrides)

    return cli.run_sweep(options.root, CONFIGS, plan_runs)


if __name__ == "__main__":
    raise SystemExit(main())
