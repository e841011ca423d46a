"""Trains the final models of the study and stores the best weights of each.

    python scripts/train_final.py --overrides image_size=48,weights=hed vgg16:7
    python scripts/train_final.py        # vgg16:7, resnet50v2:8 and efficientnetb0:9, 20 epochs
    python scripts/test_unseen.py checkpoints/final/vgg16-7        # then open the test split, once

The runs form a sweep: the same command skips finished runs, resumes interrupted ones and tries
failed ones again. As in the study a run stops after two epochs without a better validation
accuracy; --overrides patience=0 trains all epochs. Writes ROOT/models/RUN/model.npz (weights,
preprocessing, classes, temperature) and card.md beside it; the same command also updates the card.
"""

from pathlib import Path

from faceemo.commands.parser import Parser
from faceemo.commands.sweep import add_sweep_options, run_sweep
from faceemo.experiments import finals, sweep
from faceemo.experiments.sweep_run import Run


def main() -> int:
    """Trains and stores the models; returns the exit code."""
    parser = Parser(description=__doc__)
    parser.add_argument(
        "models",
        nargs="*",
        default=[f"{arch}:{variant}" for arch, variant in finals.MODELS],
        metavar="ARCH:VARIANT",
        help="models to train",
    )
    parser.add_argument(
        "--epochs",
        type=int,
        help=f"maximum number of epochs (default: {finals.EPOCHS}, or that of --overrides)",
    )
    add_sweep_options(parser, Path("checkpoints/final"))
    options = parser.parse_args()
    overrides = finals.add_epochs(options.overrides, options.epochs)

    def store(run: Run) -> str:
        path = finals.store(run.workdir, options.root / finals.FOLDER / run.name)
        return f"stored      {path} ({path.stat().st_size / 1e6:,.1f} MB), card.md beside it"

    return run_sweep(
        options.root,
        lambda: sweep.plan_runs(
            options.root, finals.parse_models(options.models), options.seeds, overrides
        ),
        store,
    )


if __name__ == "__main__":
    raise SystemExit(main())
