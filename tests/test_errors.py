"""Messages for mistakes: suggestions for mistyped words, refusals of the disk, exit codes."""

import errno
import importlib
import sys
from pathlib import Path

import pytest

from faceemo import errors, staging


@pytest.mark.parametrize(
    ("found", "known", "expected"),
    [
        ("batchsize", ["batch_size", "image_size"], "batch_size"),
        ("VGG61", ["vgg16", "mobilenet"], "vgg16"),
        ("bset", [0, 11, "best"], "best"),
        ("13", [1, 3, 11, "best"], None),
        ("lr", ["learning_rate", "seed"], None),
        ("anything", [], None),
    ],
)
def test_the_closest_known_name_is_suggested(found, known, expected):
    assert errors.closest(found, known) == expected
    assert errors.suggestion(found, known) == (f" (did you mean '{expected}'?)" if expected else "")


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("checkpoints/myfaces", "checkpoints/my_Faces"),
        ("checkpoint/my_Faces", "checkpoints/my_Faces"),
        ("checkpoint/myfaces", None),
        ("checkpoints/other", None),
        ("note.txt/my_Faces", None),
        ("chekpoints", "checkpoints"),
        ("checkpoints", None),
        ("checkpoints/vgg61-7", "checkpoints/vgg16-7"),
        ("vgg61:7", "vgg16:7"),
        ("vgg61", "vgg16"),
    ],
)
def test_the_closest_path_that_exists_is_suggested(tmp_path, monkeypatch, typed, expected):
    monkeypatch.chdir(tmp_path)
    Path("checkpoints/my_Faces").mkdir(parents=True)
    Path("checkpoints/vgg16-7").mkdir()
    Path("note.txt").touch()
    found = errors.suggest_path(Path(typed), ["vgg16", "mobilenet"])
    assert found == (f" (did you mean '{expected}'?)" if expected else "")


@pytest.mark.parametrize(
    ("stored", "shown"),
    [
        (b"caf\xe9.jpg", r"caf\xe9.jpg"),  # Latin-1
        ("café 笑顔.jpg".encode(), "café 笑顔.jpg"),
        (b"a\nb\x1b[31m\t.jpg", r"a\nb\x1b[31m\t.jpg"),
        ("a\u202egpj.exe\u2028".encode(), r"a\u202egpj.exe\u2028"),
        ("می\u200cخواهم 👩\u200d🦰.jpg".encode(), "می\u200cخواهم 👩\u200d🦰.jpg"),
        (rb"C:\faces\new.jpg", r"C:\faces\new.jpg"),
        (b"\xff\xfe\xed\xa0\x80", r"\xff\xfe\xed\xa0\x80"),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_a_name_of_any_bytes_becomes_text_that_utf_8_can_hold(stored, shown, encoding):
    """As Python decodes names in a UTF-8 locale, and in one of ASCII only."""
    name = stored.decode(encoding, "surrogateescape")
    assert errors.escape_name(name) == shown
    assert errors.escape_name(Path(name)) == shown
    assert errors.escape_name(shown) == shown
    shown.encode("utf-8")


def test_a_name_with_half_a_surrogate_pair_is_escaped():
    """Such names come from JSON and from Windows."""
    assert errors.escape_name("a\ud83d.jpg") == r"a\ud83d.jpg"


def test_a_mistake_is_one_line_whatever_the_name(capsys):
    with pytest.raises(SystemExit, match="2"), errors.reported():
        raise errors.UserError(expected="a", found="caf\udce9\n\x1b[2J", fix="c")
    assert (
        capsys.readouterr().err == "faceemo: error: expected a; found caf\\xe9\\n\\x1b[2J. Fix: c\n"
    )


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_a_refusal_of_the_disk_is_one_line_and_exit_code_two(number, capsys):
    with pytest.raises(SystemExit, match="2"), errors.reported():
        raise OSError(number, "refused", "file.bin")
    assert "at file.bin" in capsys.readouterr().err


def test_a_file_in_the_place_of_a_folder_is_one_line(tmp_path, capsys):
    (tmp_path / "notes").touch()
    for place in (tmp_path / "notes" / "a.csv", tmp_path / "notes" / "deep" / "a.csv"):
        with pytest.raises(SystemExit, match="2"), errors.reported(), staging.file(place):
            pytest.fail("nothing can be written there")
        assert "found a file in its place or above it" in capsys.readouterr().err


def test_any_other_error_keeps_its_traceback():
    with pytest.raises(KeyError), errors.reported():
        raise KeyError("a bug")
    with pytest.raises(FileNotFoundError), errors.reported():
        raise FileNotFoundError(errno.ENOENT, "missing", "file.bin")


@pytest.mark.parametrize("module", ["clu", "clu.metrics", "sklearn.metrics"])
def test_a_missing_package_for_training_is_one_line_and_exit_code_two(module, monkeypatch, capsys):
    for name in {module, module.partition(".")[0], "tensorboard"}:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(SystemExit, match="2"), errors.reported():
        importlib.import_module(module)
    (line,) = capsys.readouterr().err.splitlines()
    package = {"sklearn": "scikit-learn"}.get(module.partition(".")[0], "clu")
    named = ", ".join(sorted({package, "tensorboard"}))
    assert f"expected the packages for training; found no {named}. Fix: " in line
    assert line.endswith("in a checkout of faceemo, pip install '.[train]'")


def test_any_other_failed_import_keeps_its_traceback():
    with pytest.raises(ModuleNotFoundError), errors.reported():
        importlib.import_module("no_such_module")
    with pytest.raises(ImportError), errors.reported():
        from faceemo.errors import no_such_name  # type: ignore[attr-defined] # noqa: F401


def test_a_failed_import_of_an_export_says_why(monkeypatch):
    """A package that is there, but does not fit another, is not called missing."""
    monkeypatch.setattr(errors, "_is_installed", lambda name: True)
    with (
        pytest.raises(errors.UserError, match="found cannot import name"),
        errors.missing_packages("onnx"),
    ):
        raise ImportError("cannot import name 'x' from 'onnx'")
