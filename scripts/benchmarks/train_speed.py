"""The sections of `train.py` that time programs in turns."""

import itertools
import json

from . import timing
from .train_bench import KERAS, OURS, Bench, complain, program, ratio, shown

LARGE = 224  # pixels, the study's size
_LEVELS = ("low", "mid", "high")


def workflow(bench: Bench) -> None:
    """Epochs of both workflows, and training steps at the study's size."""
    options = bench.options
    print(f"seconds an epoch at {options.size} px, median of {options.rounds} (range)")
    for arch, variant in itertools.product(options.archs, options.variants):
        arg = bench.arg(variant, options.images, image_size=options.size, cache_features="off")
        _compare(f"{arch}:{variant}", arch, arg, options.rounds)
    if options.large_variants:
        print(f"seconds for {options.steps} steps of {options.large_batch} images at {LARGE} px")
    for arch, variant in itertools.product(options.archs, options.large_variants):
        arg = bench.arg(
            variant,
            options.images,
            batch_size=options.large_batch,
            steps_per_epoch=options.steps,
            cache_features="off",
        )
        _compare(f"{arch}:{variant}", arch, arg, options.rounds)


def _compare(title: str, arch: str, arg: str, rounds: int) -> None:
    programs = {
        OURS: program("train_faceemo", "epochs", arch, arg),
        KERAS: program("train_keras", "epochs", arch, arg),
    }
    seconds, failed = timing.side_by_side(programs, ["epoch"], rounds)
    _line(title, seconds["epoch"], OURS)
    complain(failed)


def augmentation(bench: Bench) -> None:
    """One batch at each level."""
    options = bench.options
    arg = bench.arg(9, options.images)
    programs = {
        name: program(f"train_{name}", "augment", "vgg16", arg, *_LEVELS) for name in (OURS, KERAS)
    }
    seconds, failed = timing.side_by_side(programs, _LEVELS, 3 * options.rounds)
    print(f"ms for 32 images at {LARGE} px, median of {3 * options.rounds} (range)")
    for level in _LEVELS:
        _line(level, seconds[level], OURS, unit=1000)
    complain(failed)


def features(bench: Bench) -> None:
    """Variant 0 to its end, with and without kept features, and in Keras."""
    options = bench.options
    arg = bench.arg(0, options.run_images, image_size=options.size, epochs=6)
    kept = {"computed": ["fresh"], "from disk": []}
    off = f"{arg},cache_features=off"

    def ours(name: str, arg: str, *more: str) -> list[str]:
        return program("train_faceemo", "fit", options.arch, arg, bench.out / name, *more)

    programs = {
        **{name: ours(name, arg, *more) for name, more in kept.items()},
        "off": ours("off", off),
        KERAS: program("train_keras", "fit", options.arch, arg, bench.out / KERAS),
    }
    seconds, failed = timing.side_by_side(programs, ["fit"], options.rounds)
    print(f"seconds for 6 epochs of {options.arch}:0 at {options.size} px")
    _line("all", seconds["fit"], "computed")
    complain(failed)
    if failed.keys() & {*kept, "off"}:
        return
    histories = {
        name: json.loads((bench.out / f"{name}.json").read_text()) for name in (*kept, "off")
    }
    if histories["computed"] != histories["from disk"]:
        raise AssertionError(f"features from disk gave another history: {histories}")
    pairs = zip(histories["computed"], histories["off"], strict=True)
    apart = [abs(one[key] - two[key]) for one, two in pairs for key in one if "/" in key]
    same = "the same to the last bit" if not any(apart) else f"at most {max(apart):.1e} apart"
    print(f"  loss and accuracy of every epoch, with features and without: {same}")


def bfloat16(bench: Bench) -> None:
    """Steps of variant 9 in both types, and six epochs at a rate that learns from nothing."""
    options, arch = bench.options, bench.options.arch
    types = ("float32", "bfloat16")
    # So few steps leave moving averages behind what is learnt.
    recipe = {"learning_rate": 1e-3, "epochs": 6, "bn_policy": "recalibrate"}
    arg = bench.arg(9, options.run_images, image_size=options.size, **recipe)
    steps = f"{arg},steps_per_epoch={options.steps}"
    programs = {
        dtype: program("train_faceemo", "epochs", arch, f"{steps},dtype={dtype}") for dtype in types
    }
    seconds, failed = timing.side_by_side(programs, ["epoch"], options.rounds)
    print(f"seconds for {options.steps} steps of {arch}:9 at {options.size} px")
    _line("all blocks", seconds["epoch"], "bfloat16")
    complain(failed)
    runs = {
        dtype: program("train_faceemo", "fit", arch, f"{arg},dtype={dtype}", bench.out / dtype)
        for dtype in types
    }
    _, failed = timing.side_by_side(runs, ["fit"], 0)
    complain(failed)
    print("after six epochs, from the same weights, at learning rate 1e-3")
    for dtype in types:
        if dtype not in failed:
            last = json.loads((bench.out / f"{dtype}.json").read_text())[-1]
            values = (f"{k} {v:.4f}" for k, v in last.items() if isinstance(v, float))
            print(f"  {dtype:<9} {'  '.join(values)}")


def _line(title: str, seconds: dict[str, list[float]], own: str, unit: float = 1.0) -> None:
    cells = [f"{name} {shown(values, unit)}" for name, values in seconds.items()]
    cells += [
        f"ratio to {name} {ratio(seconds, name, own):.2f}"
        for name in seconds
        if name != own and own in seconds
    ]
    print(f"  {title:<17} {'  '.join(cells)}", flush=True)
