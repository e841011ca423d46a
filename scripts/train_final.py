"""Trains the models that the study ends with, and stores the best weights of each alone.

    python scripts/train_final.py --overrides image_size=48,weights=hed vgg16:7
    python scripts/train_final.py        # vgg16:7, resnet50v2:8 and efficientnetb0:9, 20 epochs
    python scripts/test_unseen.py checkpoints/final/vgg16-7        # then open the test split, once

Each is a run of its own, as in a sweep: given again, this skips what is finished, resumes what was
interrupted and tries again what failed. As in the study a run stops after two epochs without a
better validation accuracy; --overrides patience=0 trains all. Writes ROOT/models/RUN/model.npz
(weights, preprocessing, classes, temperature) and card.md beside it; given again, with what the
card has to say by then.
"""

from pathlib import Path

from faceemo.experiments import cli, finals, sweep
from faceemo.experiments.sweep import Run

CONFIGS = Path(__file__).parents[1] / "configs"


def main() -> int:
    """Reads the arguments, trains, stores; 1 if a run failed."""
    parser = cli.parser(__doc__, Path("checkpoints/final"))
    parser.add_argument(
        "models",
        nargs="*",
        default=[f"{arch}:{variant}" for arch, variant in finals.MODELS],
        metavar="ARCH:VARIANT",
    )
    parser.add_argument("--epochs", type=int, default=finals.EPOCHS, help="at the most")
    options = parser.parse_args()
    overrides = ",".join(filter(None, (f"epochs={options.epochs}", options.overrides)))

    def store(run: Run) -> str:
        path = finals.store(run.workdir, options.root / finals.FOLDER / run.name)
        return f"stored      {path} ({path.stat().st_size / 1e6:,.1f} MB), card.md beside it"

    return cli.run(
        options.root,
        CONFIGS,
        lambda: sweep.plan(options.root, finals.parse(options.models), options.seeds, overrides),
        store,
    )


if __name__ == "__main__":
    raise SystemExit(main())
