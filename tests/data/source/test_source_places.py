"""Where a source may lie, and what is told where it is not found or not the only one."""

import pytest

from faceemo.data.ledger import ledger
from faceemo.data.prepare import prepare
from faceemo.data.source import archive
from faceemo.data.source.selection import Selection
from faceemo.errors import UserError
from tests.support.data import forms
from tests.support.data.remembering import fates

pytestmark = pytest.mark.usefixtures("light")


def test_a_source_elsewhere_may_be_read_only_and_data_dir_be_new(tmp_path, images, usual, capsys):
    source = forms.write_zip(tmp_path / "in" / "x.zip", images)
    out = tmp_path / "deep" / "out"
    prepare.prepare(out, selection=Selection(source=source))
    assert fates(out) == usual
    assert [path.name for path in source.parent.iterdir()] == ["x.zip"]
    # a script that does not know of it goes on with what was made; other classes can still be had
    prepare.prepare(out)
    assert capsys.readouterr().out.count("nothing to do") == 3
    prepare.prepare(out, selection=Selection(source=source, classes=("sad", "happy")))
    assert ledger.list_classes(ledger.read(out)) == ("happy", "sad")


def test_data_dir_may_lie_in_the_source(tmp_path, images, usual):
    forms.write_folder(tmp_path, images)
    for _ in range(2):
        prepare.prepare(tmp_path / "out", selection=Selection(source=tmp_path))
    assert fates(tmp_path / "out") == usual
    prepare.prepare(tmp_path, selection=Selection(source=tmp_path))
    assert fates(tmp_path) == usual


def test_own_folder_is_read_where_it_is_or_told_to_be_renamed(tmp_path, images, usual):
    own = forms.write_folder(tmp_path / archive.FOLDER, images | {"train/angry/1.jpg": b"x"})
    prepare.prepare(tmp_path)
    assert fates(tmp_path) == usual
    assert (own / "train/angry/1.jpg").exists()
    with pytest.raises(UserError, match="give the folder another name"):
        prepare.prepare(tmp_path, selection=Selection(class_map={"angry": "happy"}))
    own.rename(tmp_path / "mine")
    prepare.prepare(tmp_path, selection=Selection(class_map={"angry": "happy"}))
    assert len(fates(tmp_path)) == len(usual) + 1


def test_two_candidates_are_not_guessed_between(tmp_path, images):
    forms.write_zip(tmp_path / "a.zip", images)
    forms.write_folder(tmp_path / "images", images)
    with pytest.raises(UserError, match=r"one source of images in .*found 2: .*a\.zip"):
        prepare.prepare(tmp_path)
    prepare.prepare(tmp_path, last="unpack", selection=Selection(source=tmp_path / "a.zip"))
    with pytest.raises(UserError, match="nothing at"):
        prepare.prepare(tmp_path, selection=Selection(source=tmp_path / "b.zip"))


def test_an_unknown_tree_is_shown(tmp_path, images):
    forms.write_folder(tmp_path, {f"deep/{n}.jpg": b"x" for n in range(3)})
    with pytest.raises(UserError, match=r"no image in 'train/happy'.*the classes there: deep 3"):
        prepare.prepare(tmp_path)
    forms.write_folder(tmp_path, {"train/happy/x.jpg": b"x"})
    with pytest.raises(UserError, match=r"the top of the tree:\n    deep/ +3 files\n"):
        prepare.prepare(tmp_path)


def test_links_in_a_folder(tmp_path, images):
    forms.write_folder(tmp_path / "images", images)
    (tmp_path / "images/train/again").symlink_to(tmp_path / "images")  # a circle ends
    prepare.prepare(tmp_path, last="unpack")
    (tmp_path / "images/train/happy/lost.jpg").symlink_to(tmp_path / "nowhere")
    with pytest.raises(UserError, match=r"neither .*'images/train/happy/lost\.jpg'"):
        prepare.prepare(tmp_path)
