"""Tests of `scripts/benchmark.py device`: what it compares, counts, writes, and imports."""

import argparse
import json
import os
import subprocess
import sys

import jax
import numpy as np
import pytest

from faceemo import models
from faceemo.config import make_config
from tests.support.places import REPOSITORY, SCRIPTS
from tests.support.train import tiny

# Programs of that folder import each other as the scripts that they are.
sys.path += [str(SCRIPTS), str(SCRIPTS / "benchmarks")]

from benchmarks import (
    device,
    device_correctness,
    device_facts,
    device_speed,
    run_steps,
    timing,
)

pytestmark = pytest.mark.slow

# What the benchmark must do without, though it is installed here.
ABSENT = (
    *("tensorflow", "tensorflow_datasets", "clu", "orbax", "keras", "sklearn", "h5py"),
    *("array_record", "imagehash", "cleanlab", "tensorboard", "matplotlib", "cv2", "PIL"),
)


@pytest.fixture
def small_network(monkeypatch):
    """Puts a small network into the place of all; returns the function that changes it."""
    model = tiny.make_model(trained=("low", "top", "head"))
    monkeypatch.setattr(device_correctness.models, "build", lambda config: model)
    device_correctness.draw_variables.cache_clear()
    device_correctness.compute_on_cpu.cache_clear()
    yield model
    device_correctness.draw_variables.cache_clear()
    device_correctness.compute_on_cpu.cache_clear()


@pytest.mark.parametrize("precision", device_correctness.PRECISIONS)
def test_a_device_that_computes_as_the_cpu_passes(small_network, precision):
    result = device_correctness.check("vgg16", tiny.SIZE, precision)
    assert result["passed"]
    assert all(result[name]["difference"] < 1e-6 for name in ("logits", "gradients", "adam"))


@pytest.mark.parametrize("wrong", ["logits", "gradients", "adam"])
def test_a_device_that_computes_a_wrong_number_fails(small_network, monkeypatch, wrong):
    """The reference comes first and is right; the device is wrong in one row of one layer."""
    device_correctness.compute_on_cpu("vgg16", tiny.SIZE, "float32")
    apply, make_optimizer = small_network.apply, device_correctness.freezing.make_optimizer

    def apply_wrongly(params, statistics, inputs, *, train=False):
        logits, statistics = apply(params, statistics, inputs, train=train)
        if wrong == "logits" and not train:
            logits = logits.at[0, 0].add(0.01)
        if wrong == "gradients" and train:
            bias = params["backbone"]["top"]["bias"]
            logits = logits.at[0, 0].add(2 * (bias[0] - jax.lax.stop_gradient(bias[0])))
        return logits, statistics

    monkeypatch.setattr(small_network, "apply", apply_wrongly)
    if wrong == "adam":
        monkeypatch.setattr(
            device_correctness.freezing,
            "make_optimizer",
            lambda rate, labels: make_optimizer(1.001 * rate, labels),
        )
    result = device_correctness.check("vgg16", tiny.SIZE, "float32")
    assert not result["passed"]
    broken = [
        name
        for name in ("logits", "gradients", "adam")
        if result[name]["difference"] > result[name]["tolerance"]
    ]
    assert broken == [wrong]
    assert wrong != "gradients" or result["gradients"]["layer"] == "backbone/top"


def test_gradients_and_steps_equal_formulas(small_network):
    """The head's gradient is features^T (softmax - target) / n, Adam's step Keras's formula."""
    found = device_correctness.compute("vgg16", tiny.SIZE, "float32", jax.devices()[0], None)
    labels = run_steps.make_batch(len(found.logits)).labels
    logits = np.asarray(found.logits, np.float64)
    softmax = np.exp(logits - logits.max(1, keepdims=True))
    softmax /= softmax.sum(1, keepdims=True)
    bias = (softmax - np.eye(4)[labels]).mean(0)
    np.testing.assert_allclose(
        found.gradients["head"]["predictions"]["bias"], bias, rtol=0, atol=1e-6
    )
    gradient = np.float64(found.gradients["backbone"]["low"]["kernel"])
    mean = (0.9 * 0.1 + 0.1 * 0.5) * gradient
    square = (0.999 * 0.001 + 0.001 * 0.25) * gradient**2
    rate = 1e-3 * np.sqrt(1 - 0.999**2) / (1 - 0.9**2)
    np.testing.assert_allclose(
        found.moves["backbone"]["low"]["kernel"],
        -rate * mean / (np.sqrt(square) + 1e-7),
        rtol=1e-4,
        atol=0,
    )


def test_a_number_that_is_not_finite_fails_and_is_valid_json():
    right = device_correctness.Outcome(np.ones((2, 4)), {"a": {"b": np.ones(3)}}, {"a": np.ones(3)})
    wrong = right._replace(gradients={"a": {"b": np.array([1, np.nan, 1])}})
    result = device_correctness.compare(
        wrong, right, right, device_correctness.PRECISIONS["bfloat16"]
    )
    assert not result["passed"]
    assert json.loads(json.dumps(result, allow_nan=False))["gradients"]["difference"] is None


def test_low_precision_is_judged_by_the_noise_of_the_cpu_in_each_layer():
    """A layer where the CPU in bfloat16 is off by 0.1 may be off by 0.35, another by 0.05 only."""
    right = device_correctness.Outcome(
        np.ones((2, 4)), {"a": {"b": np.ones(4)}, "c": {"b": np.ones(4)}}, {"a": {"b": np.ones(4)}}
    )
    rough = right._replace(gradients=right.gradients | {"a": {"b": np.full(4, 1.1)}})

    def judge(a, c, precision):
        found = right._replace(gradients={"a": {"b": np.full(4, a)}, "c": {"b": np.full(4, c)}})
        chosen = device_correctness.PRECISIONS[precision]
        result = device_correctness.compare(found, right, rough, chosen)
        return result["passed"], result["gradients"]["layer"]

    assert judge(1.34, 1.04, "bfloat16") == (True, "a")
    assert judge(1.36, 1.04, "bfloat16") == (False, "a")
    assert judge(1.0, 1.06, "bfloat16") == (False, "c")
    assert judge(1.16, 1.0, "tf32") == (False, "a")
    assert judge(1.06, 1.0, "float32") == (False, "a")


def test_a_bias_before_batch_norm_is_compared_on_the_scale_of_its_layer():
    """Its gradient is zero but for rounding, which may differ by any factor."""
    kernel = np.linspace(-1, 1, 30)
    one, two = ({"conv": {"kernel": kernel, "bias": np.full(3, noise)}} for noise in (1e-9, -1e-8))
    assert device_correctness.layer_differences(one, two)["conv"] < 1e-7


@pytest.mark.parametrize(
    ("kind", "bfloat16"),
    [
        ("NVIDIA H200", 989.4),
        ("NVIDIA H100 PCIe", 756),
        ("NVIDIA A100-SXM4-80GB", 312),
        ("NVIDIA A1000", None),
        ("TPU v5 lite", 197),
        ("cpu", None),
    ],
)
def test_peaks_are_those_of_the_very_device(kind, bfloat16):
    peak = device_facts.find_peak(kind)
    assert (peak and peak.bfloat16) == bfloat16


def test_operations_follow_from_the_shapes():
    """A 3x3 kernel with zeros around s x s pixels meets 3s - 2 of them along each axis."""
    convolutions, inputs, side = [], 3, 32
    for widths in ((64,) * 2, (128,) * 2, (256,) * 3, (512,) * 3, (512,) * 3):
        for width in widths:
            convolutions.append(2 * (3 * side - 2) ** 2 * inputs * width)
            inputs = width
        side //= 2
    forward = sum(convolutions) + 2 * (512 * 4096 + 4096 * 4096 + 4096 * 4)
    assert device_speed.count_operations("vgg16", 32, "forward", 5) == 5 * forward
    # The gradient of the images themselves is not needed.
    training = 3 * forward - convolutions[0]
    assert device_speed.count_operations("vgg16", 32, "train all", 5) == 5 * training


def test_drawn_variables_fit_the_network_and_none_is_constant():
    model = models.build(make_config("mobilenet", "0,weights=none,image_size=32"))
    drawn, shapes = run_steps.draw_variables(model), model.shapes()
    form = [jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), tree) for tree in (drawn, shapes)]
    assert form[0] == form[1]
    assert all(leaf.std() > 0 for leaf in jax.tree.leaves(drawn))


def test_a_turn_waits_once_for_all_its_calls(monkeypatch):
    now, started, waits = [0.0], [0], []

    def launch():
        started[0] += 1

    def wait():
        now[0] += 0.1 * started[0]
        waits.append(started[0])
        started[0] = 0

    monkeypatch.setattr(timing.time, "perf_counter", lambda: now[0])
    assert timing.time_turns(launch, wait, 3, 0.45) == pytest.approx([0.1] * 3)
    assert waits == [1, 1, 5, 5, 5]


def make_options(tmp_path, *arguments):
    parser = argparse.ArgumentParser()
    device.add_arguments(parser)
    chosen = ["--archs", "vgg16", "--quick", "--parts", "augmentation"]
    return parser.parse_args([*chosen, "--out", str(tmp_path / "device.json"), *arguments])


def run_stand_in(tmp_path, monkeypatch, body, *arguments):
    """Runs the benchmark with a program in the place of device_cells.py; returns the results."""
    program = tmp_path / "program.py"
    program.write_text(
        "import json, os, sys, time\n"
        "cells = json.loads(sys.argv[1])\n"
        "facts = {'platform': 'gpu', 'kind': 'X', 'count': 2, 'jax': '1', 'peak_mib_is_of': 'it'}\n"
        "print(json.dumps({'device': facts}), flush=True)\n"
        "for cell in cells:\n"
        f"    {body}\n"
        "    print(json.dumps({'seconds': [2.0, 1.0], 'images': 3, 'took': 0.1}), flush=True)\n"
    )
    monkeypatch.setattr(device, "_PROGRAM", str(program))
    options = make_options(tmp_path, *arguments)
    device.run(options)
    table = options.out.with_suffix(".md").read_text()
    return json.loads(options.out.read_text()), table


def test_a_process_that_dies_costs_one_measurement(tmp_path, monkeypatch):
    body = "cell['level'] == 'low' and sys.exit('out of memory')"
    results, table = run_stand_in(tmp_path, monkeypatch, body)
    assert [row["level"] for row in results["results"]] == ["none", "mid", "high"]
    assert results["results"][0]["images_per_second"] == 2
    (missing,) = results["missing"]
    assert missing["level"] == "low"
    assert "out of memory (exit code 1)" in missing["reason"]
    assert "| augmentation low 48 | the process ended: out of memory" in table
    assert "2 x X (gpu), JAX 1" in table


def test_a_run_that_is_cut_short_lists_what_is_missing(tmp_path, monkeypatch):
    body = "cell['level'] == 'mid' and time.sleep(60)"
    results, table = run_stand_in(tmp_path, monkeypatch, body, "--seconds", "5")
    assert [row["level"] for row in results["results"]] == ["none", "low"]
    assert [(row["level"], row["reason"]) for row in results["missing"]] == [
        ("mid", "not reached"),
        ("high", "not reached"),
    ]
    assert results["elapsed_seconds"] < 40
    assert "| augmentation high 48 | not reached |" in table


def test_a_program_that_cannot_start_is_tried_once(tmp_path, monkeypatch):
    monkeypatch.setattr(device, "_PROGRAM", str(tmp_path / "nothing.py"))
    options = make_options(tmp_path)
    device.run(options)
    results = json.loads(options.out.read_text())
    assert results["results"] == []
    assert all("No such file" in row["reason"] for row in results["missing"])


def test_a_comparison_that_was_not_made_is_no_success(tmp_path, monkeypatch):
    monkeypatch.setattr(device, "_PROGRAM", str(tmp_path / "nothing.py"))
    with pytest.raises(SystemExit):
        device.run(make_options(tmp_path, "--parts", "correctness"))


def test_the_most_important_measurements_come_first(tmp_path):
    options = make_options(tmp_path, "--sizes", "48", "96", "--unfreeze", "all", "1")
    options.parts = ("correctness", "speed", "augmentation", "torch")
    cells = device.plan(options, has_torch=True)
    assert [cell["part"] for cell in cells[:4]] == ["correctness"] * 3 + ["speed"]
    assert {(c["part"], c["task"]) for c in cells[-4:]} == {("speed", "train 1")}
    assert not any(cell["part"] == "torch" for cell in device.plan(options, has_torch=False))
    assert len({json.dumps(cell) for cell in cells}) == len(cells)


def test_it_needs_only_jax_flax_optax_and_numpy(tmp_path):
    """The command line and its program run where nothing else can be imported."""
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\n"
        "class Absent:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name.partition('.')[0] in {ABSENT!r}:\n"
        "            raise ModuleNotFoundError(name, name=name)\n"
        "sys.meta_path.insert(0, Absent())\n"
    )
    command = [sys.executable, str(SCRIPTS / "benchmark.py"), "device", "--quick"]
    command += ["--parts", "augmentation", "--out", str(tmp_path / "device.json")]
    places = os.pathsep.join([str(tmp_path), str(REPOSITORY)])
    finished = subprocess.run(
        command, env=os.environ | {"PYTHONPATH": places}, capture_output=True, text=True
    )
    assert finished.returncode == 0, finished.stderr
    results = json.loads((tmp_path / "device.json").read_text())
    assert [row["level"] for row in results["results"]] == ["none", "low", "mid", "high"]
    assert results["missing"] == []
    assert results["device"]["platform"] == "cpu"
    assert "## Augmentation" in finished.stdout
