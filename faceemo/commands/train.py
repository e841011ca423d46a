"""The commands `faceemo train`, `evaluate`, `plan` and `lr-find`."""

import argparse
from pathlib import Path

from faceemo.commands import modes, stored_targets, targets
from faceemo.commands.field_options import add_fields, given_fields
from faceemo.commands.parser import FAILURE_CODES, Command, positive_int, whole_number
from faceemo.train.checkpoint import model_file

_TARGET = """
CONFIG is BACKBONE:VARIANT, with fields if you like (vgg16:best,epochs=3); a file with get_config
(configs/vgg16.py:7); the folder of a run, for its configuration; or a folder, zip or csv of images.
For images of your own, faceemo infers the classes, starts from its own network, chooses sizes and
epochs, and prints every choice with its reason; an option replaces a choice.
"""
_TRAIN = (
    """Trains a network, or resumes a run, and reports on validation.

    faceemo train my_faces/
    faceemo train vgg16:7 --image-size 96 --dataset sample
    faceemo train configs/mobilenet.py:best --source faces.zip --classes calm+angry --data-dir mine
"""
    + _TARGET
    + """
The data is prepared first if that has not been done yet. The same command resumes an interrupted
run. Results are written into the run's folder: report/validation/index.html, summary.json, card.md,
checkpoints and TensorBoard files.
"""
)
_EVALUATE = """Restores the best epoch of a run and writes its report on a split.

    faceemo evaluate checkpoints/vgg16-7
    faceemo evaluate checkpoints/vgg16-7 --split test --groups people.csv
    faceemo evaluate vgg16:7 --image-size 96
    faceemo evaluate builtin --source my_faces/

RUN is the folder of a run, or what `faceemo train` was given: a configuration with the same fields,
or a folder of images. It may also be 'builtin' or a stored model.npz, with images of the same
classes: --source, whose images are divided as `faceemo train` divides them, or --data-dir, a folder
of prepared images, which are used as they are. Images that have been prepared otherwise since are
prepared again, and a line says why; train.log has the details. The opening of the test split is
recorded in the run's folder.
"""
_PLAN = (
    """Prints which parameters train and which are frozen; needs neither weights nor prepared data.

    faceemo plan vgg16:7
    faceemo plan mobilenet:best --unfreeze 2
"""
    + _TARGET
)
_LR_FIND = (
    """Tries learning rates from the initial weights, draws the losses, and suggests a rate.

    faceemo lr-find vgg16:7 --image-size 96
    faceemo lr-find my_faces/
"""
    + _TARGET
    + """
For images of your own name the folder, as above: they are then prepared as `faceemo train` prepares
them, and in the same place. A configuration with --source fills the folder of --data-dir instead,
which is data unless you name another. train.log in the run's folder has the tables of a
preparation.
"""
)
_STOPPED = "75 after Ctrl-C or SIGTERM, once the state is saved"
_CODES = f"0 if all was done; {FAILURE_CODES}"


def _add_target(
    parser: argparse.ArgumentParser, metavar: str = "CONFIG", meaning: str = "what to train"
) -> None:
    parser.add_argument("target", metavar=metavar, help=f"{meaning}, see above")
    parser.add_argument(
        "--workdir",
        type=Path,
        metavar="FOLDER",
        help="the run's folder (default: one in checkpoints/)",
    )


def _add_train(parser: argparse.ArgumentParser) -> None:
    _add_target(parser)
    parser.add_argument("--coordinator", metavar="HOST:PORT", help=modes.COORDINATOR_HELP)
    parser.add_argument(
        "--num-processes", type=positive_int, metavar="N", help="processes that train"
    )
    parser.add_argument(
        "--process-id", type=whole_number, metavar="N", help="number of this process, from 0"
    )
    add_fields(parser)


def _add_evaluate(parser: argparse.ArgumentParser) -> None:
    _add_target(parser, "RUN", "what to evaluate")
    parser.add_argument(
        "--split", choices=modes.SPLITS, default=modes.SPLITS[0], help=modes.SPLIT_HELP
    )
    parser.add_argument("--groups", type=Path, metavar="CSV", help=modes.GROUPS_HELP)
    add_fields(parser)


def _add_other(parser: argparse.ArgumentParser) -> None:
    _add_target(parser)
    add_fields(parser)


def _evaluate(options: argparse.Namespace) -> int:
    network = Path(options.target)
    if not model_file.names_stored(network):
        return _run("evaluate", options)
    target = stored_targets.resolve(network, given_fields(options), options.workdir)
    modes.silence_info()
    modes.evaluate_stored(network, target.config, target.workdir, options.split, options.groups)
    return 0


def _run(mode: str, options: argparse.Namespace) -> int:
    target = targets.resolve(
        options.target, given_fields(options), options.workdir, trained=mode == "evaluate"
    )
    modes.silence_info()
    modes.run_mode(
        mode,
        target.config,
        target.workdir,
        assumed=target.assumed,
        remarks=target.remarks,
        split=getattr(options, "split", modes.SPLITS[0]),
        groups=getattr(options, "groups", None),
        processes=modes.Processes(
            getattr(options, "coordinator", None),
            getattr(options, "num_processes", None),
            getattr(options, "process_id", None),
        ),
    )
    return 0


def _usage(name: str, own: str = "[--workdir FOLDER]", target: str = "CONFIG") -> str:
    return f"faceemo {name} [-h] {own} [--FIELD VALUE ...] {target}"


COMMANDS = (
    Command(
        "train",
        "train a network on images, or resume a run",
        _TRAIN,
        _add_train,
        lambda options: _run("train", options),
        f"{_CODES}; {_STOPPED}",
        usage=_usage("train"),
    ),
    Command(
        "evaluate",
        "restore the best epoch of a run and report on a split",
        _EVALUATE,
        _add_evaluate,
        _evaluate,
        _CODES,
        usage=_usage("evaluate", "[--split SPLIT] [--groups CSV]", "RUN"),
    ),
    Command(
        "plan",
        "print which parameters train and which are frozen",
        _PLAN,
        _add_other,
        lambda options: _run("plan", options),
        _CODES,
        usage=_usage("plan"),
    ),
    Command(
        "lr-find",
        "try learning rates and suggest one",
        _LR_FIND,
        _add_other,
        lambda options: _run("lr_find", options),
        _CODES,
        usage=_usage("lr-find"),
    ),
)
