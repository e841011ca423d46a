"""Tests that Python, CSV, JSON, JSON Lines and the API hold the same fields and values."""

import csv
import dataclasses
import io
import json
import re

import pytest

from faceemo.commands import cli
from faceemo.inference import formats
from faceemo.inference.prediction import FACE_FIELDS, FIELDS, IMPROBABLE, Prediction
from faceemo.inference.serve.schemas import FacePrediction
from tests.support.inference import films
from tests.support.inference.asking import open_api, photo_png
from tests.support.places import REPOSITORY

EDGES = ("left", "top", "right", "bottom")
FACE = Prediction.from_probabilities(
    7, "caf\udce9.png", {"happy": 0.75, "sad": 0.25}, (1.5, 2, 9, 10), 0.9,
    region=(0, 1, 9, 10), time=0.4, track=3,
)  # fmt: skip


def from_row(row, classes):
    """Returns the fields that a row of CSV holds, as JSON has them; the row is used up."""

    def number(name, kind=float):
        text = row.pop(name)
        return kind(text) if text else None

    def box(prefix):
        edges = [number(f"{prefix}{edge}") for edge in EDGES]
        return None if None in edges else edges

    probabilities = {name: number(name) for name in classes}
    fields = {
        "probabilities": {} if None in probabilities.values() else probabilities,
        "box": box(""),
        "region": box("region_"),
        "index": number("index", int),
        "track": number("track", int),
        **{name: number(name) for name in ("probability", "face_confidence", "time")},
        **{name: row.pop(name) or None for name in ("label", "leaning")},
        **{name: row.pop(name) for name in ("name", "status", "problem", "reason")},
    }
    assert not row, "columns that are no field"
    return fields


def from_python(prediction):
    """Returns the fields of a prediction, as JSON has them."""
    fields = {name: getattr(prediction, name) for name in FIELDS}
    return json.loads(json.dumps(fields))


def assert_equal(found, expected):
    """Compares fields; CSV rounds probabilities to six digits."""
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        if isinstance(value, list | dict | float):
            assert found[name] == pytest.approx(value, rel=1e-5), name
        else:
            assert (found[name], type(found[name])) == (value, type(value)), name


def test_the_fields_are_all_that_a_prediction_knows():
    known = {field.name for field in dataclasses.fields(Prediction)}
    known |= {name for name, one in vars(Prediction).items() if isinstance(one, property)}
    assert set(FIELDS) == known
    assert len(FIELDS) == len(known)
    assert set(FACE_FIELDS) == set(FIELDS) - {"index", "name", "problem"}
    assert FacePrediction.model_fields.keys() == {*FACE_FIELDS, "heat", "thumbnail"}


def test_csv_and_json_hold_the_fields_of_a_prediction():
    classes = ("happy", "sad")
    header, line = formats.make_formatter("csv", classes)
    (row,) = csv.DictReader([header, line(FACE)])
    _, line = formats.make_formatter("jsonl", classes)
    record = json.loads(line(FACE))
    assert record.keys() == set(FIELDS)
    assert record["name"] == row["name"] == r"caf\xe9.png"
    expected = from_python(dataclasses.replace(FACE, name=r"caf\xe9.png"))
    assert record == expected
    assert from_row(row, classes) == expected


def test_columns_keep_their_places_whatever_the_classes_are_called():
    """Readers that count columns go on working; a class may have the name of a field."""
    classes = ("label", "left", "track")
    face = Prediction.from_probabilities(0, "a", dict.fromkeys(classes, 1 / 3), (1, 2, 3, 4), 0.5)
    header, line = formats.make_formatter("csv", classes)
    columns, cells = csv.reader([header, line(face)])
    assert columns == [
        *("index", "name", "status", "label", *classes, *EDGES, "face_confidence", "leaning"),
        *(*(f"region_{edge}" for edge in EDGES), "time", "problem", "probability", "track"),
        "reason",
    ]
    assert cells[:12] == ["0", "a", "unsure", "", *["0.333333"] * 3, "1", "2", "3", "4", "0.5"]
    assert cells[12:] == ["label", *[""] * 6, "0.333333", "", IMPROBABLE]


@pytest.fixture
def inputs(tmp_path):
    """A photograph of two faces, an image without one, a file that is no image, and a film."""
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "photo.png").write_bytes(photo_png())
    (folder / "broken.jpg").write_text("no image")
    films.write(folder / "film.mp4", frames=3)
    return folder


@pytest.mark.slow
def test_all_ways_to_predict_give_the_same_fields(
    with_small_predictor, predictor, inputs, tmp_path, capsys
):
    found = {}
    for form in formats.FORMATS[1:]:
        command = ["predict", "run", str(inputs), "--format", form]
        assert cli.main(command) == 1
        found[form] = capsys.readouterr().out
        out = tmp_path / f"predictions.{form}"
        assert cli.main([*command, "--out", str(out)]) == 1
        assert out.read_text() == found[form]
    capsys.readouterr()
    rows = [from_row(row, predictor.classes) for row in csv.DictReader(io.StringIO(found["csv"]))]
    expected = [from_python(one) for one in predictor.predict(inputs / "photo.png")]
    expected[:0] = [from_python(one) for one in predictor.predict(inputs / "broken.jpg")]
    expected += [from_python(one) for one in predictor.predict(inputs / "film.mp4")]
    for one in expected[1:]:
        one["index"] += 1 if one["time"] is None else 2  # the files before it
    assert [one["status"] == "unreadable" for one in expected] == [True] + [False] * 5
    assert {one["track"] for one in expected[:3]} == {None}
    assert {one["track"] for one in expected[3:]} == {1}
    records = json.loads(found["json"])
    assert records == [json.loads(line) for line in found["jsonl"].splitlines()]
    for row, record, one in zip(rows, records, expected, strict=True):
        assert_equal(row, one)
        assert_equal(record, one)
    with open_api(predictor) as api:
        faces = api.predict(photo_png()).json()["faces"]
    for face, one in zip(faces, expected[1:3], strict=True):
        assert face.pop("heat") is None
        assert face.pop("thumbnail") is None
        assert_equal(face, {name: one[name] for name in FACE_FIELDS})


@pytest.mark.parametrize("count", [0, 1, 3])
def test_json_is_one_array_whatever_it_holds(count):
    stream = io.StringIO()
    writer = formats.Writer("json", ("happy", "sad"), stream)
    writer.write([FACE] * min(count, 1))
    writer.write([FACE] * max(count - 1, 0))
    writer.end()
    assert [one["index"] for one in json.loads(stream.getvalue())] == [7] * count
    assert stream.getvalue().endswith("]\n")


def test_the_table_of_the_documentation_lists_all_fields():
    text = (REPOSITORY / "docs" / "predict.md").read_text()
    table = text.partition("\n## Fields\n")[2].partition("\n## ")[0]
    rows = [line.split("|")[2:-1] for line in table.splitlines() if line.startswith("|")][2:]
    names = [[re.findall(r"`([a-z_]+)`", cell) for cell in row] for row in rows]
    python, json_names, table_names, api = (
        [name for row in names for name in row[column]] for column in range(4)
    )
    assert python == json_names
    assert sorted(python) == sorted(FIELDS)
    assert {*table_names} == {*formats.make_columns(())}
    assert {*api} == {*FacePrediction.model_fields}
