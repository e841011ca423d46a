"""Sections of train.py on speed: programs timed in turns."""

import itertools
import json

from . import timing
from .train_common import (
    KERAS,
    OURS,
    TrainBenchmark,
    compute_ratio,
    format_range,
    make_command,
    print_failures,
)

LARGE_SIZE = 224  # pixels, the image size of the study
_LEVELS = ("low", "mid", "high")


def workflow(benchmark: TrainBenchmark) -> None:
    """Times epochs of both workflows, and training steps at the study's image size."""
    options = benchmark.options
    print(f"seconds an epoch at {options.size} px, median of {options.rounds} (range)")
    for arch, variant in itertools.product(options.archs, options.variants):
        arg = benchmark.config_arg(
            variant, options.images, image_size=options.size, cache_features="off"
        )
        _compare(f"{arch}:{variant}", arch, arg, options.rounds)
    if options.large_variants:
        print(
            f"seconds for {options.steps} steps of {options.large_batch} images at {LARGE_SIZE} px"
        )
    for arch, variant in itertools.product(options.archs, options.large_variants):
        arg = benchmark.config_arg(
            variant,
            options.images,
            batch_size=options.large_batch,
            steps_per_epoch=options.steps,
            cache_features="off",
        )
        _compare(f"{arch}:{variant}", arch, arg, options.rounds)


def _compare(title: str, arch: str, arg: str, rounds: int) -> None:
    programs = {
        OURS: make_command("train_faceemo", "epochs", arch, arg),
        KERAS: make_command("train_keras", "epochs", arch, arg),
    }
    seconds, failed = timing.time_tasks(programs, ["epoch"], rounds)
    _print_row(title, seconds["epoch"], OURS)
    print_failures(failed)


def augmentation(benchmark: TrainBenchmark) -> None:
    """Times the augmentation of one batch at each level."""
    options = benchmark.options
    arg = benchmark.config_arg(9, options.images)
    programs = {
        name: make_command(f"train_{name}", "augment", "vgg16", arg, *_LEVELS)
        for name in (OURS, KERAS)
    }
    seconds, failed = timing.time_tasks(programs, _LEVELS, 3 * options.rounds)
    print(f"ms for 32 images at {LARGE_SIZE} px, median of {3 * options.rounds} (range)")
    for level in _LEVELS:
        _print_row(level, seconds[level], OURS, unit=1000)
    print_failures(failed)


def features(benchmark: TrainBenchmark) -> None:
    """Times a run of variant 0 with and without the feature cache, and in Keras.

    Raises:
        AssertionError: If features from disk lead to another history than fresh ones.
    """
    options = benchmark.options
    arg = benchmark.config_arg(0, options.run_images, image_size=options.size, epochs=6)
    cached = {"computed": ["fresh"], "from disk": []}

    def make_fit_command(name: str, arg: str, *more: str) -> list[str]:
        return make_command("train_faceemo", "fit", options.arch, arg, benchmark.out / name, *more)

    programs = {
        **{name: make_fit_command(name, arg, *more) for name, more in cached.items()},
        "off": make_fit_command("off", f"{arg},cache_features=off"),
        KERAS: make_command("train_keras", "fit", options.arch, arg, benchmark.out / KERAS),
    }
    seconds, failed = timing.time_tasks(programs, ["fit"], options.rounds)
    print(f"seconds for 6 epochs of {options.arch}:0 at {options.size} px")
    _print_row("all", seconds["fit"], "computed")
    print_failures(failed)
    if failed.keys() & {*cached, "off"}:
        return
    histories = {
        name: json.loads((benchmark.out / f"{name}.json").read_text()) for name in (*cached, "off")
    }
    if histories["computed"] != histories["from disk"]:
        raise AssertionError(f"the history with features from disk differs: {histories}")
    pairs = zip(histories["computed"], histories["off"], strict=True)
    differences = [abs(one[key] - two[key]) for one, two in pairs for key in one if "/" in key]
    result = (
        f"differ by at most {max(differences):.1e}" if any(differences) else "are bit-identical"
    )
    print(f"  loss and accuracy of every epoch with and without the feature cache {result}")


def bfloat16(benchmark: TrainBenchmark) -> None:
    """Times steps of variant 9 in both dtypes, and prints the metrics of six epochs in each."""
    options, arch = benchmark.options, benchmark.options.arch
    dtypes = ("float32", "bfloat16")
    # After so few steps, moving averages of batch statistics would lag behind the weights.
    fields = {"learning_rate": 1e-3, "epochs": 6, "bn_policy": "recalibrate"}
    arg = benchmark.config_arg(9, options.run_images, image_size=options.size, **fields)
    steps = f"{arg},steps_per_epoch={options.steps}"
    programs = {
        dtype: make_command("train_faceemo", "epochs", arch, f"{steps},dtype={dtype}")
        for dtype in dtypes
    }
    seconds, failed = timing.time_tasks(programs, ["epoch"], options.rounds)
    print(f"seconds for {options.steps} steps of {arch}:9 at {options.size} px")
    _print_row("all blocks", seconds["epoch"], "bfloat16")
    print_failures(failed)
    runs = {
        dtype: make_command(
            "train_faceemo", "fit", arch, f"{arg},dtype={dtype}", benchmark.out / dtype
        )
        for dtype in dtypes
    }
    _, failed = timing.time_tasks(runs, ["fit"], 0)
    print_failures(failed)
    print("after six epochs, from the same weights, at learning rate 1e-3")
    for dtype in dtypes:
        if dtype not in failed:
            last = json.loads((benchmark.out / f"{dtype}.json").read_text())[-1]
            values = (f"{k} {v:.4f}" for k, v in last.items() if isinstance(v, float))
            print(f"  {dtype:<9} {'  '.join(values)}")


def _print_row(title: str, seconds: dict[str, list[float]], own: str, unit: float = 1.0) -> None:
    cells = [f"{name} {format_range(values, unit)}" for name, values in seconds.items()]
    cells += [
        f"ratio to {name} {compute_ratio(seconds, name, own):.2f}"
        for name in seconds
        if name != own and own in seconds
    ]
    print(f"  {title:<17} {'  '.join(cells)}", flush=True)
