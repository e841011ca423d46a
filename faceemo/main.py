"""The command: `python -m faceemo.main --config configs/vgg16.py:7`."""

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

# TensorFlow only writes metrics and reads records here; its greetings are not ours.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")

from absl import app, flags, logging
from ml_collections import config_flags

from faceemo import errors
from faceemo.config import default_workdir, validate

_CONFIG = config_flags.DEFINE_config_file(
    "config", help_string="configs/ARCH.py:VARIANT[,FIELD=VALUE...]; see faceemo/config.py"
)
_WORKDIR = flags.DEFINE_string("workdir", None, "the run's folder; default: one in checkpoints/")
_MODE = flags.DEFINE_enum(
    "mode",
    "train",
    ["train", "evaluate", "plan"],
    "train: prepare data if need be, train or go on, report; evaluate: restore the best epoch and "
    "report on --split; plan: print what trains and what is frozen, without data",
)
_SPLIT = flags.DEFINE_enum(
    "split", "validation", ["validation", "test"], "what --mode=evaluate reports on"
)


def main(argv: list[str]) -> None:
    """Dispatches to `faceemo.runs`."""
    with errors.reported():
        if len(argv) > 1:
            raise errors.UserError(
                expected="options only", found=f"'{argv[1]}'", fix="see --help for what there is"
            )
        with _named_fields():
            config = validate(_CONFIG.value)
        from faceemo import runs  # takes seconds, which a mistyped option need not wait for

        workdir = Path(_WORKDIR.value or default_workdir(config))
        try:
            if _MODE.value == "plan":
                runs.plan(config)
            elif _MODE.value == "train":
                runs.train(config, workdir)
            else:
                runs.evaluate(config, workdir, _SPLIT.value)
        except KeyboardInterrupt:
            print(
                f"\nstopped; finished epochs are in {workdir}, and the same command goes on",
                file=sys.stderr,
            )
            raise SystemExit(130) from None


def _parse(argv: list[str]) -> list[str]:
    flags.mark_flag_as_required("config")
    with errors.reported(), _named_fields():
        rest = app.parse_flags_with_usage(argv)
    if not flags.FLAGS["verbosity"].present:
        # Orbax tells every rename at INFO
        logging.set_verbosity(logging.WARNING)
    return rest


@contextlib.contextmanager
def _named_fields() -> Iterator[None]:
    """Makes one message of ml_collections' ways to say that a file or a field does not exist."""
    try:
        yield
    except (AttributeError, KeyError, OSError) as error:
        raise errors.UserError(
            expected="a configuration file that exists and fields that it has",
            found=" ".join(str(error.args[0] if error.args else error).split()),
            fix="write --config configs/vgg16.py:7 --config.FIELD=VALUE, from the checkout",
        ) from error


if __name__ == "__main__":
    app.run(main, flags_parser=_parse)
