"""The extension is built once, and nothing but a good one is used."""

import concurrent.futures
import shutil
import subprocess
import sys
from pathlib import Path

import jax
import pytest

from faceemo.errors import UserError
from faceemo.models.layers.extension import build, calls, probe, products, winograd

pytestmark = pytest.mark.slow
# How often the compiler starts to build the library: for each source, and to link them.
ONCE = len(list(Path(build.__file__).parent.glob("*.cc"))) + 1


@pytest.fixture(autouse=True)
def switched_on(monkeypatch, tmp_path):
    """The extension may be built, into an empty cache."""
    monkeypatch.setenv(build.SWITCH, "1")
    monkeypatch.setenv("FACEEMO_CACHE", str(tmp_path / "cache"))


def fake_compiler(monkeypatch, tmp_path, program, name="compiler"):
    """Makes a program, in Python, take the place of the compiler; returns where its starts are."""
    path, starts = tmp_path / name, tmp_path / f"{name}.starts"
    count = f"open({str(starts)!r}, 'a').write('.')"
    path.write_text(f"#!{sys.executable}\nimport os, sys, time\n{count}\n{program}\n")
    path.chmod(0o755)
    monkeypatch.setenv("CXX", f"{path} --option")
    return starts


def test_it_is_built_once_and_a_damaged_one_is_replaced(extension_library, monkeypatch, tmp_path):
    copy = "import shutil; shutil.copyfile({!r}, sys.argv[sys.argv.index('-o') + 1])"
    starts = fake_compiler(monkeypatch, tmp_path, copy.format(str(extension_library)))
    path = build.library_path()
    path.parent.mkdir(parents=True)
    path.write_text("not a library")
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: build.find_library(), range(8)))
    assert found == [build.Found(path)] * 8
    assert path.read_bytes() == extension_library.read_bytes()
    assert starts.read_text() == "." * ONCE
    assert {p.name for p in path.parent.iterdir()} == {path.name, ".lock"}
    # A cache that may be read but not written.
    monkeypatch.setattr(build.staging, "locked", lambda folder: pytest.fail("writes"))
    assert build.find_library() == build.Found(path)


def test_what_may_succeed_another_time_is_tried_again(monkeypatch, tmp_path):
    for name, program, reason, lasting in (
        (
            "fails",
            "sys.exit('moments.cc:1: error: no header')",
            "code 1: moments.cc:1: error: no h",
            True,
        ),
        ("dies", "os.abort()", "the compiler ended with code -6", False),
        ("hangs", "time.sleep(99)", "the compiler did not end within 1 seconds", False),
        (
            "writes no library",
            "open(sys.argv[-1], 'w').write('text')",
            "the probe ended with code 1",
            True,
        ),
    ):
        starts = fake_compiler(monkeypatch, tmp_path, program, name.replace(" ", "_"))
        monkeypatch.setattr(build, "_LIMIT", 1 if name == "hangs" else 60)
        found = build.find_library()
        assert found.library is None
        assert reason in found.reason
        once = starts.read_text()
        assert build.find_library() == found
        assert (starts.read_text() == once) == lasting
    monkeypatch.setenv("CXX", str(tmp_path / "nowhere"))
    assert "the compiler did not start" in build.find_library().reason


def test_a_library_with_other_values_is_not_used(extension_library, monkeypatch, tmp_path, capsys):
    copy = f"import shutil; shutil.copyfile({str(extension_library)!r}, sys.argv[-1])"
    fake_compiler(monkeypatch, tmp_path, copy)
    differs = "print('error: other values', file=__import__('sys').stderr); raise SystemExit(1)"
    monkeypatch.setattr(build, "_PROBE", [sys.executable, "-c", differs])
    assert build.find_library() == build.Found(
        None, "the probe ended with code 1: error: other values"
    )
    # The probe itself notices each function that is wrong.
    for name, what in (
        ("compute_moments", "moments of (2, 9, 8, 3)"),
        ("sum_gradients", "sums of the gradient of (2, 9, 8, 3)"),
        ("convolve_depthwise", "depthwise convolution of (2, 9, 8, 3)"),
        ("compute_depthwise_input_gradient", "depthwise convolution"),
        ("compute_depthwise_kernel_gradient", "depthwise convolution"),
        ("convolve_depthwise_between", "normalised depthwise convolution"),
        ("convolve_images", "convolution of images (2, 12, 13, 3)"),
        ("compute_images_kernel_gradient", "convolution of images"),
        ("convolve", "convolution of (3, 9, 8, 64), 96 features"),
        ("compute_input_gradient", "convolution of (3, 9, 8, 64), 96 features"),
        ("compute_kernel_gradient", "convolution of (3, 9, 8, 64), 96 features"),
        ("multiply_over_rows", "product over 1 rows"),
    ):
        module = next(m for m in (calls, winograd, products) if hasattr(m, name))
        right = getattr(module, name)
        with monkeypatch.context() as patch:
            patch.setattr(
                module,
                name,
                lambda *a, right=right, **k: jax.tree.map(lambda x: x * 1.0001, right(*a, **k)),
            )
            assert probe.main([str(extension_library)]) == 1
        assert f"error: other values than NumPy's: {what}" in capsys.readouterr().err
    assert probe.main([str(extension_library)]) == 0
    calls.use(None)


def test_a_cache_that_cannot_be_written_is_told(monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("FACEEMO_CACHE", str(tmp_path / "file"))
    monkeypatch.setattr(build, "_build", lambda path: pytest.fail("builds for nothing"))
    monkeypatch.setattr(build, "find_compiler", lambda: ("c++",))
    assert build.find_library().reason.startswith("it cannot be kept: ")


def test_nothing_is_built_where_it_cannot_be_used(monkeypatch):
    monkeypatch.setattr(build, "_build", lambda path: pytest.fail("builds for nothing"))
    for patch, reason in (
        (lambda m: m.setenv(build.SWITCH, "0"), "FACEEMO_EXTENSION is 0"),
        (lambda m: m.setattr(jax, "default_backend", lambda: "gpu"), "JAX uses the gpu"),
        (lambda m: m.setattr(build.os, "name", "nt"), "it is for Linux and macOS"),
        (
            lambda m: m.setattr(shutil, "which", lambda name: None),
            "there is no C++ compiler: c++, ",
        ),
    ):
        with monkeypatch.context() as context:
            context.delenv("CXX", raising=False)
            patch(context)
            found = build.find_library()
        assert found.library is None
        assert reason in found.reason
    monkeypatch.setenv(build.SWITCH, "yes")
    with pytest.raises(UserError, match="FACEEMO_EXTENSION=yes"):
        build.find_library()
    monkeypatch.setenv(build.SWITCH, "1")
    monkeypatch.setenv("CXX", "'g++")
    with pytest.raises(UserError, match="CXX to name a C"):
        build.find_library()


def test_another_source_compiler_or_version_is_another_library(monkeypatch):
    monkeypatch.delenv("CXX", raising=False)
    paths = {build.library_path()}
    monkeypatch.setattr(build, "_FLAGS", ("-O2",))
    paths.add(build.library_path())
    monkeypatch.setattr(build.metadata, "version", lambda name: "9.9")
    paths.add(build.library_path())
    monkeypatch.setenv("CXX", "another")
    paths.add(build.library_path())
    monkeypatch.setattr(build, "processor_id", lambda: "another")
    paths.add(build.library_path())
    assert len(paths) == 5


def test_importing_faceemo_neither_builds_nor_turns_it_on(tmp_path):
    program = (
        "import faceemo.experiments.run, faceemo.inference.predictor\n"
        "from faceemo.models.layers.extension import calls\n"
        "assert not calls.in_use()"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=100)
    assert not (tmp_path / "cache").exists()
