"""Tables of labels and votes in the forms in which people have them."""

import dataclasses
import io
import itertools

import numpy as np
import pytest
from PIL import Image

from faceemo.commands import class_counts
from faceemo.config.classes import name_problem
from faceemo.data.prepare import prepare
from faceemo.data.prepare.record import RECORD
from faceemo.data.source import image_table, sources, votes_by_path
from faceemo.data.source.plan import Plan
from faceemo.data.source.selection import Selection
from faceemo.errors import UserError
from tests.support.data import forms
from tests.support.data.faces import png

VOTES = "neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,NF"
FERPLUS = f"Usage,Image name,{VOTES}"
# Votes by row of FER2013: split, its label, neutral, happiness, and so on.
ROWS = [
    ("Training", "angry", (4, 0, 0, 1, 3, 2, 0, 0, 0, 0)),
    ("Training", "happy", (0, 10, 0, 0, 0, 0, 0, 0, 0, 0)),
    ("Training", "sad", (6, 0, 0, 4, 0, 0, 0, 0, 0, 0)),
    ("Training", "neutral", (0, 0, 0, 0, 0, 0, 0, 0, 0, 10)),
    ("PublicTest", "neutral", (9, 1, 0, 0, 0, 0, 0, 0, 0, 0)),
    ("PublicTest", "happy", (1, 9, 0, 0, 0, 0, 0, 0, 0, 0)),
    ("PublicTest", "sad", (2, 0, 0, 8, 0, 0, 0, 0, 0, 0)),
    ("PrivateTest", "neutral", (9, 1, 0, 0, 0, 0, 0, 0, 0, 0)),
    ("PrivateTest", "happy", (1, 9, 0, 0, 0, 0, 0, 0, 0, 0)),
    ("PrivateTest", "neutral", (2, 0, 0, 8, 0, 0, 0, 0, 0, 0)),
    ("Training", "sad", (2, 0, 0, 8, 0, 0, 0, 0, 0, 0)),
    ("PrivateTest", "sad", (2, 0, 0, 8, 0, 0, 0, 0, 0, 0)),
]
CLASSES = ("happy", "neutral", "sad")
MAJORITY = {
    *("train/happy/1", "train/neutral/2", "train/neutral/3", "train/sad/10"),
    *("validation/neutral/4", "validation/happy/5", "validation/sad/6"),
    *("test/neutral/7", "test/happy/8", "test/sad/9", "test/sad/11"),
    "train/neutral/0",
}


def image(row):
    return png(Image.fromarray(np.random.default_rng(row).integers(0, 255, (8, 8), np.uint8)))


def write_fer_csv(path):
    numbers = {"angry": 0, "happy": 3, "sad": 4, "neutral": 6}
    lines = [f"{numbers[label]},{row} 2 3 4,{usage}" for row, (usage, label, _) in enumerate(ROWS)]
    path.write_text("\n".join(["emotion,pixels,Usage", *lines]) + "\n")
    return path


def write_ferplus(path):
    lines = [
        f"{usage},{'' if votes[-1] else f'fer{row:07}.png'},{','.join(map(str, votes))}"
        for row, (usage, _, votes) in enumerate(ROWS)
    ]
    path.write_text("\n".join([FERPLUS, *lines]) + "\n")
    return path


def make_tree():
    """Makes the form of folders of splits beside a table of labels and votes."""
    lines = [f"row,usage,fer2013,doubtful,{VOTES}"]
    lines += [
        f"{row},{usage},{label},0,{','.join(map(str, votes))}"
        for row, (usage, label, votes) in enumerate(ROWS)
    ]
    files = {f"set/{usage}/{row:05}.png": image(row) for row, (usage, _, _) in enumerate(ROWS)}
    return files | {"set/labels.csv": "\n".join(lines).encode()}


def plan(source, **fields):
    selection = Selection(source=source, classes=CLASSES, **fields)
    made = Plan(sources.find(source.parent, source, from_within=False), selection)
    return made, {target.rpartition(".")[0] for target in made.targets.values()}


@pytest.mark.parametrize("form", ["csv", "zip", "folder", "microsoft"])
def test_every_form_gives_the_same_labels_by_majority(tmp_path, form):
    table = write_ferplus(tmp_path / "fer2013new.csv")
    votes = table
    if form == "csv":
        source = write_fer_csv(tmp_path / "fer2013.csv")
    elif form == "microsoft":  # folders of their own program, without labels of FER2013
        files = {
            f"{usage}/fer{row:07}.png": image(row) for row, (usage, _, _) in enumerate(ROWS)
        } | {"label.csv": table.read_bytes()}
        source = tmp_path / "FER2013Train"
        forms.write_folder(source, files)
        votes = None
    else:
        source, votes = tmp_path / f"set.{form}", None
        write = forms.write_zip if form == "zip" else forms.write_folder
        write(source, make_tree())
    made, found = plan(source, votes=votes, targets="majority")
    expected = set(MAJORITY)
    numbered = {
        f"{folder}/{int(name.removeprefix('fer'))}"
        for folder, _, name in (path.rpartition("/") for path in found)
    }
    if form == "microsoft":  # nobody gave the third row a label: its votes say 'not a face'
        expected -= {"train/neutral/3"}
    assert numbered == expected
    counts = made.facts()["votes"].counts
    assert {"neutral": 6, "sad": 4} in counts.values()
    assert len(counts) == len(found)


def test_without_targets_labels_stay_and_votes_are_known(tmp_path):
    source = tmp_path / "set.zip"
    forms.write_zip(source, make_tree())
    made, found = plan(source)
    assert "train/sad/00002" in found
    facts = made.facts()
    assert facts["votes"].counts["train/sad/00002.png"] == {"neutral": 6, "sad": 4}
    assert facts["votes"].given["train/sad/00002.png"] == "sad"
    assert facts["left_out"] == {"angry": 1}
    assert any("on 12 of 12 images" in note for note in facts["notes"])


def test_a_folder_is_another_source_when_its_table_changes(tmp_path):
    forms.write_folder(tmp_path / "set", make_tree())
    before = sources.FolderSource(tmp_path / "set").sha256()
    assert sources.FolderSource(tmp_path / "set").sha256() == before
    table = tmp_path / "set" / "set" / "labels.csv"
    table.write_text(table.read_text().replace("2,Training,sad,", "2,Training,happy,"))
    assert sources.FolderSource(tmp_path / "set").sha256() != before


def test_an_image_without_a_row_is_no_class_and_is_counted(tmp_path):
    files = make_tree() | {"set/Training/00099.png": image(99)}
    forms.write_folder(tmp_path / "set", files)
    made, found = plan(tmp_path / "set")
    assert not any("00099" in path for path in found)
    assert made.facts()["left_out"] == {image_table.NO_LABEL: 1, "angry": 1}
    layout = sources.FolderSource(tmp_path / "set").layout()
    assert set(class_counts.count(layout, {})["train"]) == {"angry", *CLASSES}
    assert name_problem(image_table.NO_LABEL)


@pytest.mark.parametrize("targets", ["label", "majority"])
@pytest.mark.parametrize("named", [False, True])
def test_votes_stay_where_the_source_is_not_named_again(tmp_path, capsys, targets, named):
    """A folder that was prepared with votes needs neither its source nor its table any more."""
    forms.write_zip(tmp_path / "set.zip", make_tree())
    table = write_ferplus(tmp_path / "fer2013new.csv") if named else None
    chosen = Selection(classes=CLASSES, targets=targets)
    first = dataclasses.replace(chosen, source=tmp_path / "set.zip", votes=table)
    root = tmp_path / "data"
    prepare.prepare(root, selection=first, last="unpack")
    before = {name: (root / name).read_bytes() for name in (votes_by_path.NAME, RECORD)}
    assert votes_by_path.read(root).counts
    capsys.readouterr()
    for selection in (chosen, None, chosen):
        prepare.prepare(root, selection=selection, last="unpack")
        assert capsys.readouterr().out.startswith("unpack: nothing to do")
        assert {name: (root / name).read_bytes() for name in before} == before
    # Another setting, which needs no other votes, keeps them, too.
    prepare.prepare(
        root, selection=dataclasses.replace(chosen, split_seed=3, validation_share=0.2),
        last="unpack",
    )  # fmt: skip
    assert (root / votes_by_path.NAME).read_bytes() == before[votes_by_path.NAME]


def test_votes_by_path_on_ones_own_folders(tmp_path):
    files = {f"{label}/{n}.png": image(n) for n, label in enumerate(CLASSES * 4)}
    lines = [f"{path},{2 * (n != 1)},{2 * (n == 1)},0" for n, path in enumerate(files)]
    forms.write_folder(tmp_path / "mine", files)
    table = tmp_path / "votes.csv"
    table.write_text("\n".join(["file,happy,grumpy,bored", *lines]))
    selection = Selection(
        source=tmp_path / "mine", classes=("happy", "grumpy"), class_map={"sad": "grumpy"},
        votes=table, validation_share=0.3,
    )  # fmt: skip
    made = Plan(sources.find(tmp_path, selection.source, from_within=False), selection)
    counts = made.facts()["votes"].counts
    by_name = {path.rpartition("/")[2]: votes for path, votes in counts.items()}
    assert by_name["0.png"] == {"happy": 2}
    assert "1.png" not in by_name  # neutral, which is no class here


def test_drawn_splits_lose_no_image_and_do_not_follow_the_source(tmp_path):
    files = {
        f"{split}/{label}/{n}.png": image(number)
        for number, (split, label, n) in enumerate(
            itertools.product(("train", "validation", "test"), CLASSES, range(6))
        )
    }
    forms.write_folder(tmp_path / "mine", files)
    made, found = plan(tmp_path / "mine", splits="drawn", validation_share=0.25, test_share=0.25)
    assert len(found) == len(files)
    assert made.missing_splits == ("validation", "test")
    kept = [path for path, target in made.targets.items() if target.startswith(path.split("/")[0])]
    assert len(kept) < len(files)
    again = plan(tmp_path / "mine", splits="drawn", validation_share=0.25, test_share=0.25)[1]
    assert again == found


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "a column row or path"),
        ("neutral,sad\n1,2\n", "a column row or path"),
        ("row,neutral,sad\n0,1,2\n0,1,2\n", "'0' for the second time"),
        ("row,neutral,sad\n0,1\n", "2 fields"),
        ("row,neutral,sad\n0,1,many\n", "'many' in row 0"),
        ("row,neutral,sad\n0,1,-2\n", "'-2' in row 0"),
        (f"row,neutral,sad\n0,1,{'9' * 5000}\n", "'9999"),
        ("row,neutral,sad\n0,1,\u0663\n", "in row 0"),
        ("row,label\n0,sad\n", "numbers of votes"),
        ("row,neutral,sad\n900,1,2\n", "first row is about 900"),
        (b"row,neutral,sad\n0,\xff\xfe,1\n", "a csv of text"),
    ],
)
def test_a_bad_table_is_one_clear_error(tmp_path, text, message):
    table = tmp_path / "votes.csv"
    table.write_bytes(text if isinstance(text, bytes) else text.encode())
    source = write_fer_csv(tmp_path / "fer2013.csv")
    with pytest.raises(UserError, match=message):
        plan(source, votes=table)


def test_missing_votes_are_one_clear_error(tmp_path):
    source = write_fer_csv(tmp_path / "fer2013.csv")
    with pytest.raises(UserError, match=r"no file at .*lost\.csv"):
        plan(source, votes=tmp_path / "lost.csv")
    with pytest.raises(UserError, match=r"votes for .*targets"):
        plan(source, targets="majority")


def test_two_tables_in_one_source_are_refused(tmp_path):
    files = make_tree()
    forms.write_folder(tmp_path / "set", files | {"set/other.csv": files["set/labels.csv"]})
    with pytest.raises(UserError, match=r"one table.*found 2"):
        plan(tmp_path / "set")


def test_the_metadata_of_an_image_folder_of_hugging_face_is_such_a_table(tmp_path):
    rows = b"file_name,label,age\n0.png,happy,3\n1.png,sad,4\n"
    files = {f"train/{n}.png": image(n) for n in range(2)} | {"train/metadata.csv": rows}
    forms.write_folder(tmp_path / "set", files)
    found = sources.find(tmp_path, tmp_path / "set", from_within=False).layout()
    labels = {path: (place.split, place.label) for path, place in found.destinations.items()}
    assert labels == {"train/0.png": ("train", "happy"), "train/1.png": ("train", "sad")}


def test_a_table_of_other_things_does_not_matter(tmp_path):
    files = {f"{label}/{n}.png": image(n) for n, label in enumerate(CLASSES * 3)}
    forms.write_folder(tmp_path / "mine", files | {"notes.csv": b"person,age\nA,3\n"})
    made, _ = plan(tmp_path / "mine", validation_share=0.4)
    assert len(made.targets) == 9


def test_numbers_of_votes_may_be_written_as_decimals():
    table = image_table.read("x.csv", io.StringIO("path,neutral,anger\n./a/b.png,3.0,2\n"))
    entry = table.find("a/b.png")
    assert entry
    assert entry.votes == {"neutral": 3, "anger": 2}
