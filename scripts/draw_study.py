"""Draws the three summary pictures from the runs' own records.

    python scripts/draw_study.py --root checkpoints/sweep --published
    python scripts/draw_study.py --root checkpoints/sweep --finals checkpoints/final --split test

Writes model_versions.png, model_accuracies.png and emotion_class_performance.png into --out.
"""

import argparse
import json
from collections.abc import Iterable
from pathlib import Path

from faceemo import errors, staging
from faceemo.analysis.theme import style
from faceemo.experiments import finals, finals_figure, leaderboard, study_figures
from faceemo.experiments.leaderboard import Row


def scores_of(rows: Iterable[Row], root: Path, split: str) -> list[dict]:
    """The scores of the runs in `root` on a split."""
    found = []
    for row in rows:
        path = root / row.name / "report" / split / "scores.json"
        if not path.is_file():
            raise errors.UserError(
                expected=f"scores on {split} in {path}",
                found="none",
                fix="run scripts/test_unseen.py, or choose --split validation",
            )
        found.append(json.loads(path.read_text(encoding="utf-8")))
    return found


def main() -> None:
    """Reads the arguments and draws."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--root", type=Path, default=Path("checkpoints/sweep"))
    parser.add_argument(
        "--finals",
        type=Path,
        help=f"folder of the runs whose F1 is drawn, at most {finals_figure.MOST}; default: the "
        "three best of --root",
    )
    parser.add_argument("--split", default="validation", choices=("validation", "test"))
    parser.add_argument(
        "--published", action="store_true", help="the original's values beside ours"
    )
    parser.add_argument("--out", type=Path, default=Path("images"))
    options = parser.parse_args()
    with errors.reported():
        rows = leaderboard.read(options.root)
        best = leaderboard.read(options.finals) if options.finals else rows[:3]
        epochs = finals.EPOCHS if options.finals else finals_figure.EPOCHS
        shared, names = finals_figure.told_apart(best, epochs)
        scores = scores_of(best, options.finals or options.root, options.split)
        pictures = {
            "model_versions": study_figures.versions(),
            "model_accuracies": study_figures.accuracies(rows, published=options.published),
            "emotion_class_performance": finals_figure.class_performance(
                dict(zip(names, scores, strict=True)),
                subtitle=f"{options.split}{'; ' if shared else ''}{shared}",
            ),
        }
        for name, picture in pictures.items():
            path = options.out / f"{name}.png"
            with staging.file(path) as partial:
                style.save(picture, partial)
            print(path)


if __name__ == "__main__":
    main()
