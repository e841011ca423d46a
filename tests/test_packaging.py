"""Tests of sdist and wheel: built, complete, installed on their own, and run."""

import importlib.metadata
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from PIL import Image

import faceemo
from faceemo.errors import EXTRAS, pip_name
from tests.support.data.faces import face
from tests.support.places import REPOSITORY

pytestmark = pytest.mark.slow

FOLDERS = ("faceemo", "configs")
FILES = ("setup.py", "pyproject.toml", "MANIFEST.in", "README.md", "LICENSE", "ATTRIBUTION.md")


def run(*command, **options):
    process = subprocess.run(command, capture_output=True, text=True, timeout=300, **options)
    assert process.returncode == 0, process.stdout + process.stderr
    return process.stdout


@pytest.fixture(scope="module")
def distributions(tmp_path_factory):
    """The sdist and the wheel that was built from it, of a copy without what git ignores."""
    folder = tmp_path_factory.mktemp("packaging")
    source = folder / "source"
    for name in FOLDERS:
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(REPOSITORY / name, source / name, ignore=ignore)
    for name in FILES:
        shutil.copy(REPOSITORY / name, source)
    run(sys.executable, "-m", "build", "--outdir", folder, source)
    return folder


@pytest.fixture(scope="module")
def wheel(distributions):
    """{name: content} of the wheel."""
    (path,) = distributions.glob("*.whl")
    with zipfile.ZipFile(path) as file:
        return {name: file.read(name) for name in file.namelist()}


@pytest.fixture(scope="module")
def metadata(distributions):
    (path,) = distributions.glob("*.whl")
    (folder,) = (one for one in zipfile.Path(path).iterdir() if one.name.endswith(".dist-info"))
    return importlib.metadata.PathDistribution(folder)


def list_requirements(metadata, extra=""):
    """Returns the names of the packages that an extra, or the base, installs here."""
    requirements = map(Requirement, metadata.requires)
    return {
        canonicalize_name(one.name)
        for one in requirements
        if ("extra" in str(one.marker)) == bool(extra)
        and (one.marker is None or one.marker.evaluate({"extra": extra}))
    }


def test_sdist_and_wheel_hold_every_file_of_the_package(wheel):
    """The wheel is built from the sdist."""
    files = {
        path.relative_to(REPOSITORY).as_posix(): path.read_bytes()
        for pattern in ("faceemo/**/*", "configs/*.py")
        for path in REPOSITORY.glob(pattern)
        if path.is_file() and "__pycache__" not in path.parts
    }
    files = {re.sub("^configs/", "faceemo/configs/", name): files[name] for name in files}
    assert {name for name in files if wheel.get(name) != files[name]} == set()
    assert any(name.endswith("licenses/ATTRIBUTION.md") for name in wheel)


def test_the_metadata_say_what_an_index_shows(metadata):
    fields = metadata.metadata
    assert metadata.version == faceemo.__version__
    assert fields["Summary"]
    assert fields["Description-Content-Type"] == "text/markdown"
    assert fields["Requires-Python"] == ">=3.11"
    assert set(fields.get_all("License-File")) == {"LICENSE", "ATTRIBUTION.md"}


def test_prediction_is_installed_without_what_only_training_needs(metadata):
    base = list_requirements(metadata)
    assert {"jax", "flax", "opencv-python-headless", "fastapi"} <= base
    own = importlib.metadata.packages_distributions()
    for name, extra in EXTRAS.items():
        modules = set(extra.packages)
        expected = {canonicalize_name(own[module][0]) for module in modules}
        # TensorFlow has a build for CPUs under another name.
        named = {canonicalize_name(pip_name(module)) for module in modules}
        assert named - {"tensorflow"} == expected - {"tensorflow", "tensorflow-cpu"}
        # JAX brings SciPy.
        assert list_requirements(metadata, name) - {"scipy"} == expected
        assert not expected & base
        assert expected <= list_requirements(metadata, "test")


def find_installed(requirements, extras=()):
    """Returns the distributions behind requirements and behind what those require, by name."""
    found = {}
    for one in map(Requirement, requirements):
        if not one.marker or any(one.marker.evaluate({"extra": name}) for name in ("", *extras)):
            distribution = importlib.metadata.distribution(one.name)
            found[canonicalize_name(one.name)] = distribution
            found |= find_installed(distribution.requires or (), one.extras)
    return found


@pytest.fixture(scope="module")
def environment(distributions, metadata, tmp_path_factory):
    """A virtual environment with the wheel and links to what it requires, and nothing else."""
    folder = tmp_path_factory.mktemp("installed") / "environment"
    run(sys.executable, "-m", "venv", "--without-pip", folder)
    (wheel,) = distributions.glob("*.whl")
    options = ("--quiet", "--disable-pip-version-check", "--no-deps", "--no-index")
    python = f"--python={folder / 'bin' / 'python'}"
    run(sys.executable, "-m", "pip", python, "install", *options, wheel)
    (packages,) = folder.glob("lib/python*/site-packages")
    for distribution in find_installed(metadata.requires).values():
        for name in {file.parts[0] for file in distribution.files} - {"..", "__pycache__"}:
            if not (packages / name).exists():
                (packages / name).symlink_to(distribution.locate_file(name))
    return folder


def test_the_installed_wheel_predicts_and_exports(environment, tmp_path):
    Image.fromarray(face(1, 240)).save(tmp_path / "face.png")
    code = "import faceemo; print(faceemo.__file__)"
    found = run(environment / "bin" / "python", "-c", code, cwd=tmp_path)
    assert Path(found.strip()).is_relative_to(environment)
    command = environment / "bin" / "faceemo"
    rows = run(command, "predict", "builtin", "face.png", cwd=tmp_path)
    assert rows.splitlines()[1].startswith("face.png")
    options = ("--format", "stablehlo", "--out", "model.stablehlo", "--faces", "face.png")
    run(command, "export", "builtin", *options, cwd=tmp_path)
    assert (tmp_path / "model.stablehlo").is_file()


def test_the_installed_wheel_says_what_training_needs(environment, tmp_path):
    """It finds configs/vgg16.py, although there is none in the working directory."""
    command = [environment / "bin" / "python", "-m", "faceemo.main"]
    helped = subprocess.run([*command, "--help"], cwd=tmp_path, capture_output=True, text=True)
    assert "--config" in helped.stdout
    command += ["--config", "configs/vgg16.py:7"]
    process = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert process.returncode == 2
    (line,) = process.stderr.splitlines()
    assert line.endswith("Fix: in a checkout of faceemo, pip install '.[train]'")
    for name in EXTRAS["train"].packages:
        assert pip_name(name) in line
