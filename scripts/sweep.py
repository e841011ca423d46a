"""Trains many variants one after the other and ranks them on validation.

    python scripts/sweep.py --archs vgg16 --variants 0-3 7 --overrides image_size=48

Each run is a process of its own. The same command skips what is finished, resumes what was
interrupted and tries again what failed. Of finished runs only the best weights are kept.
"""

import itertools
import re
from pathlib import Path

from faceemo import errors
from faceemo.config import ARCHS, STUDY, VARIANTS
from faceemo.experiments import cli, sweep

CONFIGS = Path(__file__).parents[1] / "configs"


def variants(texts: list[str]) -> list[int | str]:
    """'0-3', '7', 'best' as [0, 1, 2, 3, 7, 'best']."""
    found: list[int | str] = []
    for text in texts:
        if text == "best":
            found.append(text)
            continue
        match = re.fullmatch(r"(\d+)(?:-(\d+))?", text)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if first > last:
            raise errors.UserError(
                expected="variants as 0-11 (the smaller one first), 7 or best",
                found=f"'{text}'",
                fix="change --variants",
            )
        found.extend(range(first, last + 1))
    return found


def main() -> int:
    """Reads the arguments, sweeps, writes the leaderboard; 1 if a run failed."""
    parser = cli.parser(__doc__, Path("checkpoints/sweep"))
    parser.add_argument("--archs", nargs="+", default=STUDY, choices=ARCHS)
    parser.add_argument("--variants", nargs="+", default=[f"0-{len(VARIANTS) - 1}"])
    options = parser.parse_args()

    def plan() -> list[sweep.Run]:
        models = itertools.product(options.archs, variants(options.variants))
        return sweep.plan(options.root, models, options.seeds, options.overrides)

    return cli.run(options.root, CONFIGS, plan)


if __name__ == "__main__":
    raise SystemExit(main())
