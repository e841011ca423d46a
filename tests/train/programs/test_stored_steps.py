"""A stored step is used again where it is the same program, and never where it is another one."""

import dataclasses
import os
import subprocess
import sys

import jax
import numpy as np
import pytest
from jax.experimental.compilation_cache import compilation_cache

from faceemo import models
from faceemo.config import ARCHS, make_config
from faceemo.models.layers.extension import calls
from faceemo.train import parallel
from faceemo.train.programs import compile_cache, stored_steps
from tests.support.places import REPOSITORY
from tests.support.train.processes import assert_identical, results
from tests.train.test_feature_cache import make_model
from tests.train.test_loop import fit


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """The folder of the stored steps, and the switch on; JAX's own cache is off.

    A program that JAX loads from its cache is not stored, and other tests may have put it there.
    """
    monkeypatch.setenv(stored_steps.SWITCH, "1")
    monkeypatch.setattr(compile_cache, "folder", lambda: tmp_path / "compiled")
    monkeypatch.setattr(stored_steps, "_MIN_SECONDS", 0.0)
    option = "jax_enable_compilation_cache"
    before = jax.config.values[option]
    jax.config.update(option, False)
    compilation_cache.reset_cache()
    yield tmp_path / "compiled"
    jax.config.update(option, before)
    compilation_cache.reset_cache()


def make_step(traced, factor=2.0):
    def step(state, images, epoch):
        traced.append(factor)
        return {"w": state["w"] + images.sum()}, factor * images.mean() + epoch

    return parallel.map_train_step(step)


def run(traced, facts=("a",), *, rows=3, factor=2.0):
    """Stores a step and runs it twice, on a state that it consumes: the bits of the results."""
    step = stored_steps.store(make_step(traced, factor), *facts)
    images = np.linspace(0, 1, rows * 8, dtype=np.float32).reshape(2, rows, 4)
    state, _ = step(parallel.replicate({"w": np.float32(1)}), images, 1)
    state, value = step(state, images, 2)
    return parallel.unreplicate(state)["w"].tobytes(), np.asarray(value).tobytes()


def test_a_stored_step_runs_without_being_traced(folder):
    traced = []
    first = run(traced)
    assert len(traced) == 1
    assert run(traced) == first
    assert len(traced) == 1
    assert len(list(folder.rglob("*.step"))) == 1


@dataclasses.dataclass(frozen=True)
class Recipe:
    """A fact of several fields."""

    blocks: frozenset[str]
    weights: np.ndarray


WEIGHTS = np.ones(4, np.float32)
FACT = Recipe(frozenset({"low", "top"}), WEIGHTS)


@pytest.mark.parametrize(
    "other",
    [
        (FACT, "eval"),
        (FACT,),
        (Recipe(frozenset({"low"}), WEIGHTS), "train"),
        (Recipe(FACT.blocks, WEIGHTS + np.float32(1e-7)), "train"),
        (Recipe(FACT.blocks, WEIGHTS.astype(np.float64)), "train"),
    ],
)
def test_another_fact_is_another_step(other):
    traced = []
    run(traced, (FACT, "train"))
    run(traced, other)
    assert len(traced) == 2


def test_another_shape_source_option_or_variable_is_another_step(monkeypatch):
    traced = []
    run(traced)
    run(traced, rows=2)
    assert len(traced) == 2
    monkeypatch.setenv("XLA_FLAGS", "--xla_cpu_enable_fast_math=true")
    run(traced)
    assert len(traced) == 3
    with jax.default_matmul_precision("highest"):
        run(traced)
    assert len(traced) == 4
    monkeypatch.setattr(stored_steps, "_digest_sources", lambda: "edited")
    run(traced)
    assert len(traced) == 5
    # As if the extension were turned on: the step calls none of its functions.
    monkeypatch.setattr(calls, "_in_use", "faceemo_0123")
    run(traced)
    assert len(traced) == 6


def test_facts_read_the_same_in_every_process():
    program = (
        "from faceemo.train.programs import stored_steps; "
        "print(stored_steps._describe(frozenset('abcdefgh')))"
    )
    texts = {
        subprocess.run(
            [sys.executable, "-c", program],
            cwd=REPOSITORY,
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(texts) == 1


@pytest.mark.parametrize("arch", ARCHS)
def test_the_description_of_a_network_tells_its_options_apart(arch):
    described = [
        repr(stored_steps._describe(models.build(make_config(arch, f"9,weights=none{field}"), 4)))
        for field in ("", "", ",image_size=64", ",dtype=bfloat16", ",bn_policy=frozen")
    ]
    assert described[0] == described[1]
    assert len(set(described)) == 4


def test_a_step_made_from_a_function_runs_but_is_not_stored(folder, capsys):
    traced = []
    assert run(traced, (1, len)) == run([])
    assert "not stored: a builtin_function_or_method does not say" in capsys.readouterr().out
    run(traced, (1, len))
    assert len(traced) == 2


@pytest.mark.parametrize("keep", [0, 100])
def test_a_damaged_file_is_replaced(folder, capsys, keep):
    traced = []
    expected = run(traced)
    (stored,) = folder.rglob("*.step")
    whole = stored.read_bytes()
    stored.write_bytes(whole[:keep])
    jax.clear_caches()
    assert run(traced) == expected
    assert "damaged" in capsys.readouterr().out
    assert len(traced) == 2
    run(traced)
    assert len(traced) == 2


def test_the_least_recently_used_are_removed(folder, monkeypatch):
    traced = []
    run(traced, ("old",))
    old = next(folder.rglob("*.step"))
    monkeypatch.setattr(stored_steps, "_MAX_BYTES", int(2.5 * old.stat().st_size))
    run(traced, ("new",))
    (new,) = set(folder.rglob("*.step")) - {old}
    # Runs may follow each other within one tick of the file system's clock.
    os.utime(old, (1, 1))
    os.utime(new, (2, 2))
    run(traced, ("old",))  # used again: `new` is the oldest now
    run(traced, ("newest",))
    assert len(traced) == 3
    run(traced, ("old",))
    assert len(traced) == 3
    run(traced, ("new",))
    assert len(traced) == 4


def test_a_step_is_left_alone_where_none_is_stored(monkeypatch):
    step = make_step([])
    monkeypatch.setenv(stored_steps.SWITCH, "0")
    assert stored_steps.store(step) is step
    monkeypatch.setenv(stored_steps.SWITCH, "1")
    monkeypatch.setattr(compile_cache, "folder", lambda: None)
    assert stored_steps.store(step) is step


@pytest.mark.slow
@pytest.mark.usefixtures("either_library")
def test_a_run_with_stored_steps_ends_to_the_bit_like_the_first(folder, tmp_path):
    options = {"epochs": 2, "patience": 0, "label_smoothing": 0.1, "class_weights": "balanced"}
    first, _ = fit(tmp_path / "first", make_model(), **options)
    stored = {path: path.stat().st_mtime_ns for path in folder.rglob("*.step")}
    again, _ = fit(tmp_path / "again", make_model(), **options)
    assert results(again) == results(first)
    assert_identical(tmp_path / "first", tmp_path / "again")
    assert len(stored) == 2
    assert set(folder.rglob("*.step")) == set(stored)
