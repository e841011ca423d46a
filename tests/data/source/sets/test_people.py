"""KDEF and CK+: labels in names, and persons who stay in one split."""

import collections

import pytest

from faceemo.data.source import sources
from faceemo.data.source.plan import Plan
from faceemo.data.source.selection import Selection
from faceemo.errors import UserError
from tests.support.data import forms
from tests.support.data.faces import face, jpeg

# As the authors abbreviate and number them, written out by hand.
KDEF = {"AF": "fear", "AN": "angry", "DI": "disgust", "HA": "happy", "NE": "neutral", "SA": "sad",
        "SU": "surprise"}  # fmt: skip
CK = {1: "angry", 2: "contempt", 3: "disgust", 4: "fear", 5: "happy", 6: "sad", 7: "surprise"}


def make_kdef(persons=10, emotions=tuple(KDEF), folder="KDEF/{session}{person}"):
    """Makes each person in both sessions, from the front."""
    files = {}
    for number in range(persons):
        person = f"{'FM'[number % 2]}{number // 2 + 1:02}"
        for session in "AB":
            for emotion in emotions:
                place = folder.format(session=session, person=person, emotion=KDEF[emotion])
                name = f"{place}/{session}{person}{emotion}S.JPG"
                files[name] = jpeg(face(len(files)))
    return files


def make_ck():
    """Makes a labelled sequence of three frames of each emotion, and one without a label."""
    files = {}
    for number in range(8):
        name = f"S{number // 2 + 5:03}/{number % 2 + 1:03}"
        stem = name.replace("/", "_")
        for frame in (1, 2, 11):
            path = f"cohn-kanade-images/{name}/{stem}_{frame:08}.png"
            files[path] = jpeg(face(number * 3 + frame))
        if number < 7:
            text = f"   {number + 1}.0000000e+00\n".encode()
            files[f"Emotion/{name}/{stem}_00000011_emotion.txt"] = text
    return files


def read(tmp_path, files):
    return sources.find(tmp_path, forms.write_folder(tmp_path / "set", files), from_within=False)


def splits_of_persons(made, person_at):
    """Returns the splits of each person, whose number begins at a position of the file's name."""
    found = collections.defaultdict(set)
    for path, target in made.targets.items():
        name = path.rpartition("/")[2]
        found[name[person_at : person_at + 3]].add(target.partition("/")[0])
    return found


def test_names_of_kdef_tell_the_labels(tmp_path):
    files = make_kdef(2) | {"KDEF/AF01/AF01V.JPG": jpeg(face(1))}
    found = read(tmp_path, files).layout()
    assert len(found.destinations) == 28
    for path, image in found.destinations.items():
        assert image.label == KDEF[path.rpartition("/")[2][4:6]]
        assert image.split == "train"
    assert [left.reason for left in found.left_out.values()] == [
        "its name is not one of KDEF's, such as AF01ANS.JPG"
    ]


@pytest.mark.parametrize("folder", ["KDEF/{session}{person}", "KDEF", "{emotion}"])
def test_persons_stay_in_one_split_also_over_both_sessions(tmp_path, folder):
    """Whatever the folders: those of persons, a single one, and those of classes."""
    source = read(tmp_path, make_kdef(emotions=("HA", "NE", "SA"), folder=folder))
    selection = Selection(classes=("happy", "neutral", "sad"), validation_share=0.2, test_share=0.2)
    made = Plan(source, selection)
    found = splits_of_persons(made, 1)
    assert len(found) == 10
    assert all(len(splits) == 1 for splits in found.values())
    counts = collections.Counter(next(iter(splits)) for splits in found.values())
    assert counts == {"train": 6, "validation": 2, "test": 2}


def test_splits_of_the_source_that_divide_persons_are_told_and_can_be_drawn_anew(tmp_path):
    files = make_kdef(emotions=("HA", "SA"))
    files = {
        f"{'train' if path.rpartition('/')[2][0] == 'A' else 'val'}/{path}": content
        for path, content in files.items()
    }
    source = read(tmp_path, files)
    classes = ("happy", "sad")
    made = Plan(source, Selection(classes=classes))
    assert any("of 10 of 10 persons" in note for note in made.facts()["notes"])
    drawn = Plan(source, Selection(classes=classes, splits="drawn", validation_share=0.2))
    assert all(len(splits) == 1 for splits in splits_of_persons(drawn, 1).values())
    assert not any("10 persons are" in note for note in drawn.facts()["notes"])


def test_the_last_frames_of_labelled_sequences_are_used(tmp_path):
    found = read(tmp_path, make_ck()).layout()
    assert {image.label for image in found.destinations.values()} == set(CK.values())
    for path, image in found.destinations.items():
        person, sequence, frame = path.rpartition("/")[2].removesuffix(".png").split("_")
        assert frame == "00000011"
        assert image.label == CK[(int(person[1:]) - 5) * 2 + int(sequence)]
    reasons = collections.Counter(left.reason for left in found.left_out.values())
    assert reasons == {
        "a frame before the apex of its sequence": 14,
        "no emotion is given for its sequence": 3,
    }
    assert set(found.groups.values()) == {f"CK+ S{number:03}" for number in range(5, 9)}


def test_what_nearly_is_ck_plus_is_told(tmp_path):
    files = make_ck()
    files["Emotion/S005/001/S005_001_00000011_emotion.txt"] = b"happy"
    files["Emotion/S005/002/S005_002_00000011_emotion.txt"] = b"8.0"
    reasons = {left.reason for left in read(tmp_path / "a", files).layout().left_out.values()}
    assert "the label 'happy', where 1 to 7 are known" in reasons
    assert "the label '8.0', where 1 to 7 are known" in reasons
    alone = {path: content for path, content in files.items() if path.endswith("txt")}
    with pytest.raises(UserError, match="7 images: its emotion is given, but there are no frames"):
        read(tmp_path / "b", alone).layout()


def test_too_few_persons_are_one_clear_error(tmp_path):
    source = read(tmp_path, make_kdef(2, ("HA", "SA")))
    selection = Selection(classes=("happy", "sad"), validation_share=0.2, test_share=0.2)
    with pytest.raises(UserError, match=r"happy of at least 3 persons .*found 2"):
        Plan(source, selection)
