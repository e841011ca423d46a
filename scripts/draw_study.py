"""Draws the three figures of the study from the records of its runs.

    python scripts/draw_study.py --root checkpoints/sweep --published
    python scripts/draw_study.py --root checkpoints/sweep --finals checkpoints/final --split test

Writes model_versions.png, model_accuracies.png and emotion_class_performance.png into --out.
"""

import json
from collections.abc import Iterable
from pathlib import Path

from faceemo import errors, staging
from faceemo.analysis.theme import style
from faceemo.commands.parser import Parser
from faceemo.config import SPLITS
from faceemo.experiments import finals, finals_figure, leaderboard, study_figures
from faceemo.experiments.leaderboard import Row


def read_scores(rows: Iterable[Row], root: Path, split: str) -> list[dict]:
    """Reads the scores on a split of runs in `root`."""
    scores = []
    for row in rows:
        path = root / row.name / "report" / split / "scores.json"
        if not path.is_file():
            raise errors.UserError(
                expected=f"scores on {split} in {path}",
                found="none",
                fix="evaluate the run on this split first (test: scripts/test_unseen.py; "
                "validation: faceemo evaluate)",
            )
        scores.append(json.loads(path.read_text(encoding="utf-8")))
    return scores


def main() -> None:
    """Draws the figures and prints their paths."""
    parser = Parser(description=__doc__)
    parser.add_argument(
        "--root",
        type=Path,
        default=Path("checkpoints/sweep"),
        help="folder of the sweep (default: %(default)s)",
    )
    parser.add_argument(
        "--finals",
        type=Path,
        help=f"folder of the runs whose F1 is drawn, at most {finals_figure.MAX_MODELS} (default: "
        "the three best runs of --root)",
    )
    parser.add_argument(
        "--split",
        default="validation",
        choices=SPLITS[1:],
        help="split on which F1 is drawn (default: %(default)s)",
    )
    parser.add_argument(
        "--published", action="store_true", help="also draw the accuracies of the original study"
    )
    parser.add_argument(
        "--out", type=Path, default=Path("pictures"), help="output folder (default: %(default)s)"
    )
    options = parser.parse_args()
    with errors.reported():
        rows = leaderboard.read_rows(options.root)
        final_rows = leaderboard.read_rows(options.finals) if options.finals else rows[:3]
        epochs = finals.EPOCHS if options.finals else finals_figure.STUDY_EPOCHS
        shared, names = finals_figure.name_models(final_rows, epochs)
        scores = read_scores(final_rows, options.finals or options.root, options.split)
        figures = {
            "model_versions": study_figures.draw_variants(rows),
            "model_accuracies": study_figures.draw_accuracies(rows, published=options.published),
            "emotion_class_performance": finals_figure.draw_class_f1(
                dict(zip(names, scores, strict=True)),
                subtitle=f"{options.split}{'; ' if shared else ''}{shared}",
            ),
        }
        for name, figure in figures.items():
            path = options.out / f"{name}.png"
            with staging.file(path) as partial:
                style.save(figure, partial)
            print(path)


if __name__ == "__main__":
    main()
