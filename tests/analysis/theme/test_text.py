import subprocess
import sys

import pytest

from faceemo.analysis.theme.text import shorten, split_common_folder


@pytest.mark.parametrize("module", ["text", "palette", "template"])
def test_text_and_pages_do_not_import_matplotlib(module):
    code = f"import sys, faceemo.analysis.theme.{module}; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_shorten_keeps_both_ends():
    text = "validation/happy/00012345.jpg"
    assert shorten(text, 60) == text
    short = shorten(text, 15)
    assert len(short) == 15
    assert short.startswith("valid")
    assert short.endswith("45.jpg")


@pytest.mark.parametrize(
    ("paths", "folder", "names"),
    [
        (["a/b/1.jpg", "a/b/2.jpg"], "a/b", ["1.jpg", "2.jpg"]),
        (["a/1.jpg", "b/1.jpg"], "", ["a/1.jpg", "b/1.jpg"]),
        (["1.jpg", "2.jpg"], "", ["1.jpg", "2.jpg"]),
    ],
)
def test_split_common_folder(paths, folder, names):
    assert split_common_folder(paths) == (folder, names)
