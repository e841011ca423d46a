"""The csv gives the pixels and fates of the files; a bad csv is a clear error."""

import collections
import io
import json
from pathlib import PurePosixPath

import numpy as np
import pytest
from PIL import Image

from faceemo.data.ledger import ledger
from faceemo.data.prepare import prepare
from faceemo.data.prepare.record import RECORD
from faceemo.data.source import archive, fer_csv, sources
from faceemo.data.source.selection import Selection
from faceemo.errors import UserError
from tests.support.data import forms
from tests.support.data.remembering import read_fates, row_number

pytestmark = pytest.mark.usefixtures("caching_detector")


@pytest.mark.slow
@pytest.mark.parametrize(
    "header", [("emotion", "pixels", "Usage"), ("emotion", " Usage", " pixels")]
)
@pytest.mark.parametrize("zipped", [False, True])
def test_the_csv_gives_the_pixels_and_fates_of_the_files(
    tmp_path, images, usual_fates, header, zipped
):
    good = forms.decodable(images)
    text = forms.make_csv(good, header).encode()
    if zipped:
        more = {"train.csv": b"emotion,pixels\n", "fer2013/README": b"words"}
        forms.write_zip(tmp_path / "fer.zip", more | {"fer2013/fer2013.csv": text})
    else:
        forms.write_folder(tmp_path, {"icml_face_data.csv": text})
    prepare.prepare(tmp_path)
    numbers = set(map(row_number, good))
    assert read_fates(tmp_path) == {row: usual_fates[row] for row in numbers}
    for path, content in good.items():
        split, label, name = path.split("/")
        made = tmp_path / archive.FOLDER / split / label / f"{PurePosixPath(name).stem}.png"
        (tmp_path / "one.jpg").write_bytes(content)
        np.testing.assert_array_equal(Image.open(made), Image.open(tmp_path / "one.jpg"))
    record = json.loads((tmp_path / RECORD).read_text())["unpack"]
    assert record["left_out"] == {"angry": max(numbers) + 1 - len(numbers)}


def test_a_csv_without_usage_and_with_bad_pixels(tmp_path, images):
    good = forms.decodable(forms.without(images, "validation", "test"))
    lines = forms.make_csv(good, ("emotion", "pixels")).splitlines()
    bad = {"3,12 13 300 14": "too bright", "3,1 2 3": "not square", "3,": "empty", "3,a b": "text"}
    first = len(lines) - 1
    (tmp_path / "any.csv").write_text("\n".join([*lines, *bad]) + "\n")
    prepare.prepare(tmp_path, selection=Selection(validation_share=0.3))
    found = read_fates(tmp_path)
    assert {found[first + n][2] for n in range(len(bad))} == {ledger.UNREADABLE}
    assert collections.Counter(split for split, _, _ in found.values())["test"] == 0


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text + "\n\n",
        lambda text: "\n" + text.replace("\n", "\n\n"),
        lambda text: text.replace("\n", "\n , ,\t\n"),
        lambda text: text.replace(",", ";"),
        lambda text: text.replace(",", "\t"),
        lambda text: "sep=;\r\n" + text.replace(",", ";").replace("\n", "\r\n"),
        lambda text: text.replace(",", "\t").encode("utf-16"),
        lambda text: text.encode("utf-8-sig"),
    ],
)
def test_tables_as_spreadsheets_write_them_are_read(tmp_path, change):
    plain = "emotion,pixels,Usage\n3,1 2 3 4,Training\n6,5 6 7 8,Training\n3,9 9 9 9,PublicTest\n"
    text = change(plain)
    path = tmp_path / "fer.tsv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    source = sources.find(tmp_path, path, from_within=False)
    assert {name: image[:2] for name, image in source.layout().destinations.items()} == {
        "0.png": ("train", "happy"),
        "1.png": ("train", "neutral"),
        "2.png": ("validation", "happy"),
    }
    ((_, content),) = source.read_files(["1.png"])
    (tmp_path / "1.png").write_bytes(content)
    np.testing.assert_array_equal(Image.open(tmp_path / "1.png"), [[5, 6], [7, 8]])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "an empty file"),
        ("pixels\n1 2 3 4\n", "columns emotion, pixels"),
        (
            "emotion,pixels,Usage\n3,1 2 3 4,Holdout\n",
            "Usage 'Holdout' and emotion 'happy' in row 0",
        ),
        ("emotion,pixels,Usage\n3,1 2 3 4,Training\n,1 2 3 4,Training\n", "'' in row 1"),
        ("emotion,pixels,Usage\n3,1 2 3 4,Training\n3,1 2", "2 in row 1"),
        ("emotion,pixels,Usage\n3,1 2 3 4,Training\n", "no image in 'train/neutral'"),
        (b"emotion,pixels,Usage\n3,\xff\xfe,Training\n", "a csv of text"),
    ],
)
def test_a_bad_csv_is_a_user_error(tmp_path, text, message):
    (tmp_path / "fer2013.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UserError, match=message):
        prepare.prepare(tmp_path)
    assert not (tmp_path / archive.FOLDER).exists()


@pytest.mark.parametrize("label", ["9" * 5000, "7"])
def test_a_number_of_no_emotion_is_a_label(label):
    """Python refuses to convert more than 4,300 digits."""
    table = io.StringIO(f"emotion,pixels\n{label},1 2 3 4\n003,1 2 3 4\n")
    assert [row.label for row in fer_csv.read_rows("x.csv", table)] == [label, "happy"]


def test_a_quotation_mark_is_no_delimiter():
    with pytest.raises(UserError, match="columns emotion"):
        list(fer_csv.read_rows("x.csv", io.StringIO('sep="\nemotion"pixels\n3"1 2 3 4\n')))
