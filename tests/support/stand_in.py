"""A script that replaces training, so that the runs of a sweep take no time."""

import json
import sys
import textwrap

from faceemo.experiments import sweep

# It writes the files of a run. Variant 1 fails; variant 3 waits until it is interrupted.
STAND_IN = """
    import json, pathlib, signal, sys, time
    workdir, arch, variant, seed, config = json.loads(sys.argv[1])
    workdir = pathlib.Path(workdir)
    workdir.mkdir(parents=True, exist_ok=True)
    with (workdir / "started").open("a") as file:
        file.write("x")
    print("epoch  1  of", variant, flush=True)
    if variant == 1:
        print("\\r 10%\\rfaceemo: error: expected more", file=sys.stderr)
        sys.exit(2)
    if variant == 3 and len((workdir / "started").read_text()) == 1:
        def stop(number, frame):
            (workdir / "saved").touch()
            sys.exit(75)
        signal.signal(signal.SIGTERM, stop)
        signal.signal(signal.SIGINT, lambda *_: sys.exit(1))
        (workdir / "waits").touch()
        time.sleep(100)
    for folder in ("latest/7", "best/3", "best/12", "frozen/0"):
        (workdir / folder).mkdir(parents=True, exist_ok=True)
    accuracies = [0.6, 0.7] + [0.65] * (config["patience"] or 9)  # the second is the best
    (workdir / "history.json").write_text(
        json.dumps([{"validation/accuracy": each} for each in accuracies[:config["epochs"]]])
    )
    accuracy = 0.5 + variant / 100 + (seed - 1991921) / 1000
    (workdir / "summary.json").write_text(json.dumps({
        "arch": arch, "variant": variant, "seed": seed, "config": config,
        "val_accuracy": accuracy, "val_accuracy_interval": [accuracy - 0.02, accuracy + 0.01],
        "val_macro_f1": 0.4, "majority_baseline": 0.25, "train_accuracy": 0.6, "best_epoch": 2,
        "epochs_run": 3, "seconds": 90, "params_trainable": 1234567,
        "warnings": {"epoch 1": "<b>odd</b>"} if variant == 2 else {},
    }))
"""


def make_command(script):
    """Returns a replacement for `Run.command` that starts the script."""

    def command(run, configs):
        values = [str(run.workdir), run.config.arch, run.config.variant, run.config.seed]
        return [sys.executable, str(script), json.dumps([*values, run.config.to_dict()])]

    return command


def replace_training(monkeypatch, folder):
    """Makes every run of a sweep start the script, which is written to `folder`."""
    script = folder / "stand_in.py"
    script.write_text(textwrap.dedent(STAND_IN))
    monkeypatch.setattr(sweep.Run, "command", make_command(script))
    monkeypatch.setattr(sweep.data, "check_present", lambda config: None)  # it needs no images
