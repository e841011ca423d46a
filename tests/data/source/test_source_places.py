"""Places of a source, and messages if it is not found or not the only one."""

import pytest

from faceemo.data.ledger import ledger
from faceemo.data.prepare import prepare
from faceemo.data.source import archive
from faceemo.data.source.selection import Selection
from faceemo.errors import UserError
from tests.support.data import forms
from tests.support.data.remembering import read_fates

pytestmark = pytest.mark.usefixtures("caching_detector")


def test_a_source_elsewhere_may_be_read_only_and_data_dir_be_new(
    tmp_path, images, usual_fates, capsys
):
    source = forms.write_zip(tmp_path / "in" / "x.zip", images)
    out = tmp_path / "deep" / "out"
    prepare.prepare(out, selection=Selection(source=source))
    assert read_fates(out) == usual_fates
    assert [path.name for path in source.parent.iterdir()] == ["x.zip"]
    # without the source a script uses the originals; with it, other classes can be selected
    prepare.prepare(out)
    assert capsys.readouterr().out.count("nothing to do") == 3
    prepare.prepare(out, selection=Selection(source=source, classes=("sad", "happy")))
    assert ledger.list_classes(ledger.read(out)) == ("happy", "sad")


def test_data_dir_may_lie_in_the_source(tmp_path, images, usual_fates):
    forms.write_folder(tmp_path, images)
    for _ in range(2):
        prepare.prepare(tmp_path / "out", selection=Selection(source=tmp_path))
    assert read_fates(tmp_path / "out") == usual_fates
    prepare.prepare(tmp_path, selection=Selection(source=tmp_path))
    assert read_fates(tmp_path) == usual_fates


def test_the_users_own_folder_is_used_in_place_or_has_to_be_renamed(tmp_path, images, usual_fates):
    own = forms.write_folder(tmp_path / archive.FOLDER, images | {"train/angry/1.jpg": b"x"})
    prepare.prepare(tmp_path)
    assert read_fates(tmp_path) == usual_fates
    assert (own / "train/angry/1.jpg").exists()
    with pytest.raises(UserError, match="rename your folder"):
        prepare.prepare(tmp_path, selection=Selection(class_map={"angry": "happy"}))
    own.rename(tmp_path / "mine")
    prepare.prepare(tmp_path, selection=Selection(class_map={"angry": "happy"}))
    assert len(read_fates(tmp_path)) == len(usual_fates) + 1


def test_two_candidates_are_a_user_error(tmp_path, images):
    forms.write_zip(tmp_path / "a.zip", images)
    forms.write_folder(tmp_path / "images", images)
    with pytest.raises(UserError, match=r"one source of images in .*found 2: .*a\.zip"):
        prepare.prepare(tmp_path)
    prepare.prepare(tmp_path, last="unpack", selection=Selection(source=tmp_path / "a.zip"))
    with pytest.raises(UserError, match="nothing at"):
        prepare.prepare(tmp_path, selection=Selection(source=tmp_path / "b.zip"))


def test_the_error_shows_an_unknown_tree(tmp_path, images):
    forms.write_folder(tmp_path, {f"deep/{n}.jpg": b"x" for n in range(3)})
    with pytest.raises(UserError, match=r"no image in 'train/happy'.*the classes there: deep 3"):
        prepare.prepare(tmp_path)
    forms.write_folder(tmp_path, {"train/happy/x.jpg": b"x"})
    with pytest.raises(
        UserError, match=r"the top of the tree: deep/ 3 files \(0\.jpg, 1\.jpg, 2\.jpg\), train/"
    ):
        prepare.prepare(tmp_path)


def test_circular_links_end_and_broken_links_are_a_user_error(tmp_path, images):
    forms.write_folder(tmp_path / "images", images)
    (tmp_path / "images/train/again").symlink_to(tmp_path / "images")  # a circle ends
    prepare.prepare(tmp_path, last="unpack")
    (tmp_path / "images/train/happy/lost.jpg").symlink_to(tmp_path / "nowhere")
    with pytest.raises(UserError, match=r"neither .*'images/train/happy/lost\.jpg'"):
        prepare.prepare(tmp_path)
