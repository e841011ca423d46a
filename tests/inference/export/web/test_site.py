"""What the export of a page refuses, before it computes anything."""

from pathlib import Path

import pytest

from faceemo.errors import UserError
from faceemo.inference.export.export import export
from faceemo.inference.export.web import licences
from faceemo.train.checkpoint.trained_model import read


def test_a_folder_with_other_files_stays(tmp_path):
    """A site replaces the whole folder."""
    (tmp_path / "thesis.tex").write_text("years of work")
    (tmp_path / "model.json").write_text('{"format": "layers-model"}')
    for out, words in ((tmp_path, "other files in"), (tmp_path / "thesis.tex", "the file")):
        with pytest.raises(UserError, match=f"{words} .*name another folder"):
            export(Path("builtin"), "web", out)
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


def test_a_page_has_one_precision(tmp_path):
    with pytest.raises(UserError, match="a format with float16: onnx; found --format web"):
        export(Path("builtin"), "web", tmp_path / "page", precision="float16")


def test_the_licences_name_everything_that_is_bundled():
    text = licences.describe(read(Path("builtin")), Path("no card"))
    for words in ("faceemo, MIT", "onnxruntime-web 1.19.2, MIT", "res10", "HSE_FaceRec_tf"):
        assert words in text
    assert text.count("Permission is hereby granted") == 1
    assert "TERMS AND CONDITIONS FOR USE, REPRODUCTION, AND DISTRIBUTION" in text
