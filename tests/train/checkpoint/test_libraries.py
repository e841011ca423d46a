"""A run keeps the libraries that it began with."""

import math

import jax
import pytest

from faceemo.config import make_config
from faceemo.models.layers import onednn, onednn_choice, onednn_verdict
from faceemo.models.layers.extension import build, calls
from faceemo.train import parallel
from faceemo.train.checkpoint import libraries
from faceemo.train.checkpoint.checkpoints import Checkpoints
from faceemo.train.checkpoint.provenance import make_recipe
from faceemo.train.checkpoint.stored_recipe import load_recipe
from tests.support.train.tiny import GREY, make_splits, tiny_config

VGG16 = make_config("vgg16", "7")


@pytest.fixture(autouse=True)
def machine(monkeypatch):
    """A machine with oneDNN for float32, until the returned function says otherwise."""
    seconds = jax.config.values["jax_persistent_cache_min_compile_time_secs"]

    def have(*dtypes, reason="the processor lacks it"):
        verdict = onednn_verdict.Verdict(dtypes, reason)
        monkeypatch.setattr(onednn_verdict, "find_verdict", lambda: verdict)

    have("float32")
    monkeypatch.setattr(build, "find_library", lambda: build.Found(None, "there is no compiler"))
    yield have
    onednn.use([])
    calls.use(None)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", seconds)


def store_run(workdir):
    """Stores the beginning of a run as it is now; returns its recipe as the next start reads it."""
    recipe = make_recipe(tiny_config(), GREY, {"source": "none"}, make_splits())
    Checkpoints(workdir, recipe).save_frozen({"params": {}}, {"params": {}})
    return load_recipe(workdir)


@pytest.mark.slow
def test_a_run_keeps_its_library(tmp_path, capsys, machine):
    libraries.choose(VGG16, None)
    assert onednn.in_use()
    with_onednn = store_run(tmp_path / "onednn")
    assert with_onednn["convolutions"] == "onednn"
    onednn.use([])
    with_xla = store_run(tmp_path / "xla")
    assert "convolutions" not in with_xla  # as in a run of an older version
    for recipe, expected in ((with_xla, False), (with_onednn, True), (with_xla, False)):
        libraries.choose(VGG16, recipe)
        assert onednn.in_use() == expected
    assert capsys.readouterr().err == ""
    # Elsewhere it can go on, but not without a word.
    machine()
    libraries.choose(VGG16, with_onednn)
    assert not onednn.in_use()
    line = capsys.readouterr().err
    assert line.count("\n") == 1
    assert "goes on with XLA alone (the processor lacks it)" in line
    Checkpoints(
        tmp_path / "onednn", make_recipe(tiny_config(), GREY, {"source": "none"}, make_splits())
    )


def test_what_gains_nothing_stays_with_xla_and_keeps_its_stored_programs(monkeypatch):
    monkeypatch.setattr(onednn_verdict, "find_verdict", lambda: pytest.fail("probes for nothing"))
    for arch in ("resnet50v2", "efficientnetb0", "mobilenet"):
        libraries.choose(make_config(arch, "9"), None)
        assert not onednn.in_use()
    for arch in ("efficientnetb0", "mobilenet"):
        libraries.choose(make_config(arch, "9,dtype=bfloat16"), None)
        assert not onednn.in_use()
    for arg in ("image_size=47", "image_size=47,dtype=bfloat16"):
        libraries.choose(make_config("vgg16", f"9,{arg}"), None)
        assert not onednn.in_use()
    libraries.choose(make_config("resnet50v2", "9,image_size=95,dtype=bfloat16"), None)
    assert not onednn.in_use()
    assert jax.config.values["jax_persistent_cache_min_compile_time_secs"] < math.inf


def test_small_images_gain_with_avx512_alone_but_a_run_keeps_its_library(monkeypatch, capsys):
    config = make_config("vgg16", "7,image_size=48")
    for features, recipe, expected in (
        ({"avx2", "avx512f"}, None, True),
        ({"avx2", "avx512f"}, {}, False),
        ({"avx2"}, None, False),
        ({"avx2"}, {"convolutions": "onednn"}, True),
    ):
        monkeypatch.setattr(onednn_choice, "processor_features", lambda found=features: found)
        libraries.choose(config, recipe)
        assert onednn.in_use() == expected, (features, recipe)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("arch", ["vgg16", "resnet50v2"])
def test_bfloat16_uses_onednn_and_keeps_to_it(machine, arch, capsys):
    machine("float32", "bfloat16")
    config = make_config(arch, "9,image_size=96,dtype=bfloat16")
    libraries.choose(config, None)
    assert onednn.in_use()
    libraries.choose(config, {})  # a run that began with XLA
    assert not onednn.in_use()
    libraries.choose(config, {"convolutions": "onednn"})
    assert onednn.in_use()
    assert capsys.readouterr().err == ""
    machine("float32", reason="no instructions for it")
    libraries.choose(config, {"convolutions": "onednn"})
    assert not onednn.in_use()
    assert "goes on with XLA alone (no instructions for it)" in capsys.readouterr().err


def test_a_type_that_the_machine_lacks_stays_with_xla():
    libraries.choose(make_config("vgg16", "7,dtype=bfloat16"), None)
    assert not onednn.in_use()


def test_all_processes_use_the_same_library(monkeypatch):
    assert parallel.is_true_in_all(True) is True
    assert parallel.is_true_in_all(False) is False
    assert parallel.find_false(False) == [0]
    monkeypatch.setattr(parallel, "is_true_in_all", lambda flag: False)
    libraries.choose(VGG16, None)
    assert not onednn.in_use()


@pytest.fixture
def built(monkeypatch, extension_library):
    """A machine on which the extension could be built."""
    found = build.Found(extension_library)
    monkeypatch.setattr(build, "find_library", lambda: found)
    return found


@pytest.mark.slow
def test_a_run_keeps_the_extension(tmp_path, capsys, monkeypatch, built):
    config = make_config("mobilenet", "9")
    libraries.choose(config, None)
    assert calls.in_use()
    with_extension = store_run(tmp_path / "extension")
    assert with_extension["sums"] == "extension"
    calls.use(None)
    without = store_run(tmp_path / "xla")
    assert "sums" not in without  # as in a run of an older version
    for recipe, expected in ((without, False), (with_extension, True), (without, False)):
        libraries.choose(config, recipe)
        assert bool(calls.in_use()) == expected
    assert capsys.readouterr().err == ""
    # Elsewhere it can go on, but not without a word.
    monkeypatch.setattr(build, "find_library", lambda: build.Found(None, "there is no compiler"))
    libraries.choose(config, with_extension)
    assert not calls.in_use()
    line = capsys.readouterr().err
    assert line.count("\n") == 1
    assert "goes on with XLA alone (there is no compiler)" in line
    Checkpoints(
        tmp_path / "extension", make_recipe(tiny_config(), GREY, {"source": "none"}, make_splits())
    )


@pytest.mark.slow
def test_the_extension_is_for_float32_and_takes_the_place_of_onednn(monkeypatch, built):
    monkeypatch.setattr(onednn_verdict, "find_verdict", lambda: pytest.fail("probes for nothing"))
    for arch in ("vgg16", "resnet50v2", "efficientnetb0", "mobilenet"):
        libraries.choose(make_config(arch, "9"), None)
        assert calls.in_use()
        assert not onednn.in_use()
    assert jax.config.values["jax_persistent_cache_min_compile_time_secs"] < math.inf
    monkeypatch.setattr(build, "find_library", lambda: pytest.fail("builds for nothing"))
    libraries.choose(make_config("mobilenet", "9,dtype=bfloat16"), None)
    assert not calls.in_use()


@pytest.mark.slow
def test_a_run_that_began_with_onednn_keeps_it_where_there_is_an_extension(built, capsys):
    libraries.choose(VGG16, {"convolutions": "onednn"})
    assert onednn.in_use()
    assert not calls.in_use()
    assert capsys.readouterr().err == ""


@pytest.mark.slow
def test_all_processes_use_the_extension_or_none_does(monkeypatch, capsys, built):
    monkeypatch.setattr(parallel, "is_true_in_all", lambda flag: False)
    libraries.choose(make_config("mobilenet", "9"), None)
    assert not calls.in_use()
    assert (
        "the compiled extension: not in use (another process has none)" in capsys.readouterr().out
    )
