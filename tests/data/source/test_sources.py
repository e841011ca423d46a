"""Every form of a source through the whole preparation: equal images get equal fates."""

from pathlib import PurePosixPath

import pytest

from faceemo.data.ledger import ledger
from faceemo.data.prepare import prepare
from tests.support.data import forms
from tests.support.data.remembering import read_fates

pytestmark = pytest.mark.usefixtures("caching_detector")

FORMS = {
    "zip of another name": lambda root, i: forms.write_zip(root / "faces.zip", i),
    "zip with a wrapper": lambda root, i: forms.write_zip(
        root / "archive.zip", forms.below(i, "a/b")
    ),
    "zip that holds itself twice": lambda root, i: forms.write_zip(
        root / "archive.zip", forms.twice(i)
    ),
    "usage in the names": lambda root, i: forms.write_zip(
        root / "archive.zip", forms.with_usage_in_names(i)
    ),
    "folders in data_dir": lambda root, i: forms.write_folder(root, i),
    "images folder in data_dir": lambda root, i: forms.write_folder(root / "images", i),
    "usage in the names, folders": lambda root, i: forms.write_folder(
        root / "fer2013", forms.with_usage_in_names(i)
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_fates(tmp_path, images, usual_fates, form, capsys):
    FORMS[form](tmp_path, images)
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    prepare.prepare(tmp_path)
    assert read_fates(tmp_path) == usual_fates
    names = {PurePosixPath(row.path).name for row in ledger.read(tmp_path)}
    assert names <= {PurePosixPath(path).name for path in before} | set(images) | names
    assert {p: p.read_bytes() for p in before} == before  # the source is only read
    assert "<split>/<class>/<image>" in capsys.readouterr().out
    prepare.prepare(tmp_path)
    assert capsys.readouterr().out.count("nothing to do") == 3
