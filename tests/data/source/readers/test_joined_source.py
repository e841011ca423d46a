"""Several sources as one, and the leaks between them."""

from pathlib import Path

import pytest

from faceemo.data.ledger import ledger
from faceemo.data.prepare import prepare
from faceemo.data.source import source_paths, sources
from faceemo.data.source.readers import joined_source
from faceemo.data.source.selection import Selection
from faceemo.errors import UserError
from tests.support.data import forms
from tests.support.data.faces import face, jpeg

CLASSES = ("happy", "sad")


def make(split, label, seeds):
    return {f"{split}/{label}/{seed}.jpg": jpeg(face(seed)) for seed in seeds}


def test_leaks_run_across_sources_and_paths_tell_the_source(tmp_path, detector, no_pictures):
    """A face of B's test split is in A's train; names and classes are spelled differently."""
    a = make("train", "happy", range(0, 6)) | make("train", "sad", range(6, 12))
    b = make("val", "happiness", range(12, 15)) | make("val", "sadness", range(15, 18))
    b |= make("test", "happiness", (2, 21)) | make("test", "sadness", (22, 23))
    forms.write_zip(tmp_path / "A.zip", a)
    forms.write_folder(tmp_path / "B", b)
    both = Path(f"{tmp_path / 'A.zip'}+{tmp_path / 'B'}")
    root = tmp_path / "out"
    selection = Selection(source=both, classes=CLASSES)
    prepare.prepare(root, selection=selection)
    rows = {row.path: row for row in ledger.read(root)}
    assert len(rows) == 22
    assert rows["train/happy/A-2.jpg"].leaks == ("test",)
    assert rows["test/happy/B-2.jpg"].leaks == ("train",)
    found = source_paths.read(root)
    assert found.source == str(both)
    assert found.paths["test/happy/B-2.jpg"] == "B/test/happiness/2.jpg"
    assert found.paths["validation/sad/B-15.jpg"] == "B/val/sadness/15.jpg"


def test_each_source_is_described_in_the_notes(tmp_path):
    forms.write_folder(tmp_path / "A", make("train", "happy", (1, 2)))
    forms.write_folder(tmp_path / "B", {"sad/3.jpg": jpeg(face(3)), "happy/4.jpg": jpeg(face(4))})
    named = Path(f"{tmp_path / 'A'}+{tmp_path / 'B'}")
    found = sources.find(tmp_path, named, from_within=False).layout()
    assert found.notes == (
        "A is <split>/<class>/<image> (train 2)",
        "B is <class>/<image>, no splits (train 2)",
    )


def test_equal_names_are_numbered_and_the_same_source_is_refused(tmp_path):
    for folder in ("x", "y"):
        forms.write_folder(tmp_path / folder / "faces", make("train", "happy", (1, 2)))
    one, other = tmp_path / "x/faces", tmp_path / "y/faces"
    found = sources.find(tmp_path, Path(f"{one}+{other}"), from_within=False).layout()
    assert sorted(found.destinations)[::3] == [
        "faces-1/train/happy/1.jpg",
        "faces-2/train/happy/2.jpg",
    ]
    with pytest.raises(UserError, match="twice"):
        sources.find(tmp_path, Path(f"{one}+{one}"), from_within=False)


def test_persons_and_votes_keep_their_source(tmp_path):
    kdef = {f"KDEF/AF0{n}{e}S.JPG": jpeg(face(n)) for n in (1, 2) for e in ("HA", "SA")}
    table = b"file,happy,sad\nhappy/1.jpg,3,1\nsad/2.jpg,0,4\n"
    own = {"happy/1.jpg": jpeg(face(8)), "sad/2.jpg": jpeg(face(9)), "votes.csv": table}
    forms.write_folder(tmp_path / "a", kdef)
    forms.write_folder(tmp_path / "b", own)
    named = Path(f"{tmp_path / 'a'}+{tmp_path / 'b'}")
    source = sources.find(tmp_path, named, from_within=False)
    assert set(source.layout().groups.values()) == {"a/KDEF F01", "a/KDEF F02"}
    entry = source.table().find("b/happy/1.jpg")
    assert entry.votes == {"happy": 3, "sad": 1}
    assert source.table().find("a/KDEF/AF01HAS.JPG") is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("CK+", ["CK+"]),
        ("CK++RAF", ["CK+", "RAF"]),
        ("RAF+CK+", ["RAF", "CK+"]),
        ("RAF + CK+ + hf:a/b", ["RAF", "CK+", "hf:a/b"]),
        ("RAF+lost", ["RAF", "lost"]),
    ],
)
def test_a_plus_in_a_name_is_no_division(tmp_path, monkeypatch, text, expected):
    monkeypatch.chdir(tmp_path)
    for name in ("CK+", "RAF"):
        (tmp_path / name).mkdir()
    assert joined_source.divide(Path(text)) == [Path(part) for part in expected]


def test_a_part_that_is_not_there_is_named(tmp_path):
    forms.write_folder(tmp_path / "A", make("train", "happy", (1, 2)))
    with pytest.raises(UserError, match=r"nothing at lost"):
        sources.find(tmp_path, Path(f"{tmp_path / 'A'}+lost"), from_within=False)
