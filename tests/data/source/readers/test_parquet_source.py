"""Hugging Face datasets: Parquet files as `datasets` writes them, and the hub."""

import json
import sys
import types
from pathlib import Path

import pytest

from faceemo.data.prepare import prepare
from faceemo.data.source import archive, sources
from faceemo.data.source.selection import Selection
from faceemo.errors import UserError
from tests.support.data.faces import face, jpeg

pa = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")

NAMES = ["anger", "happy", "neutral"]


def make_table(seeds, names=NAMES, **columns):
    """Makes a table with the metadata of `datasets`; the label of a seed is its remainder by 3."""
    images = [{"bytes": jpeg(face(seed)), "path": f"{seed}.jpg"} for seed in seeds]
    table = {"image": images, "label": [seed % 3 for seed in seeds]} | columns
    made = pa.table({name: values for name, values in table.items() if values is not None})
    features = {
        "image": {"_type": "Image"},
        "label": {"names": names, "_type": "ClassLabel"} if names else {"_type": "Value"},
    }
    return made.replace_schema_metadata(
        {"huggingface": json.dumps({"info": {"features": features}})}
    )


def write(path, table):
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(table, path, row_group_size=2)


def read(path):
    return sources.find(path.parent, path, from_within=False)


def make_folder(tmp_path):
    write(tmp_path / "set/data/train-00000-of-00002.parquet", make_table(range(9)))
    write(tmp_path / "set/data/train-00001-of-00002.parquet", make_table(range(9, 15)))
    write(tmp_path / "set/data/validation-00000-of-00001.parquet", make_table(range(15, 21)))
    return tmp_path / "set"


def test_a_folder_of_parquet_files_is_read_as_datasets_wrote_it(tmp_path, detector, no_pictures):
    folder = make_folder(tmp_path)
    found = read(folder).layout()
    image = found.destinations["data/train-00001-of-00002.parquet#2"]  # the face of seed 11
    assert image == ("train", "neutral", "train-00001-of-00002-2.jpeg")
    selection = Selection(source=folder, classes=("happy", "angry", "neutral"))
    prepare.prepare(tmp_path / "out", selection=selection, last="unpack")
    made = tmp_path / "out" / archive.FOLDER
    assert (made / "train/neutral" / image.name).read_bytes() == jpeg(face(11))
    assert len(archive.hash_images(made)) == 21
    assert len(list((made / "validation/angry").iterdir())) == 2


def test_names_may_be_a_column_and_numbers_stay_numbers(tmp_path):
    write(tmp_path / "a.parquet", make_table(range(4), None, label=["joy", "fear", None, " "]))
    found = read(tmp_path / "a.parquet").layout()
    assert [image.label for image in found.destinations.values()] == ["joy", "fear"]
    assert [left.reason for left in found.left_out.values()] == ["no label in its row"] * 2
    write(tmp_path / "b.parquet", make_table(range(4), None))
    found = read(tmp_path / "b.parquet").layout()
    assert [image.label for image in found.destinations.values()] == ["0", "1", "2", "0"]


def test_a_hidden_label_and_an_image_without_bytes_are_listed(tmp_path):
    images = [{"bytes": jpeg(face(n)), "path": None} for n in range(3)] + [
        {"bytes": None, "path": "elsewhere.jpg"}
    ]
    write(tmp_path / "a.parquet", make_table(range(4), image=images, label=[-1, 1, 7, 2]))
    source = read(tmp_path / "a.parquet")
    found = source.layout()
    assert set(found.left_out) == {"a.parquet#0", "a.parquet#2"}
    assert [path for path, _ in source.read_files(found.destinations)] == ["a.parquet#1"]
    assert source.problems == {"a.parquet#3": "its row has no bytes of an image"}


def test_files_that_a_table_names_are_read_within_its_folder_only(tmp_path):
    folder = tmp_path / "set"
    (tmp_path / "secret.jpg").write_bytes(b"secret")
    names = ["images/0.jpg", "../secret.jpg", str(tmp_path / "secret.jpg")]
    images = [{"bytes": None, "path": name} for name in names]
    write(folder / "train.parquet", make_table(range(3), image=images))
    (folder / "images").mkdir()
    (folder / "images/0.jpg").write_bytes(jpeg(face(0)))
    source = read(folder)
    found = source.layout()
    assert dict(source.read_files(found.destinations)) == {"train.parquet#0": jpeg(face(0))}
    assert set(source.problems) == {"train.parquet#1", "train.parquet#2"}


def test_a_changed_file_is_another_source(tmp_path):
    folder = make_folder(tmp_path)
    before = read(folder).sha256()
    assert read(folder).sha256() == before
    write(folder / "data/validation-00000-of-00001.parquet", make_table(range(16, 22)))
    assert read(folder).sha256() != before


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"label": None}, "one column of labels in a.parquet.*found none among the columns image"),
        ({"image": None}, "one column of images in a.parquet.*found none among the columns label"),
        ({"image": None, "img": [b"x"] * 4, "picture": [b"y"] * 4}, "found img, picture among"),
    ],
)
def test_columns_that_are_missing_or_in_doubt_are_one_clear_error(tmp_path, columns, message):
    table = make_table(range(4), **columns).replace_schema_metadata(None)
    write(tmp_path / "a.parquet", table)
    with pytest.raises(UserError, match=message):
        read(tmp_path / "a.parquet").layout()


def test_a_damaged_file_and_a_missing_package_are_one_clear_error(tmp_path, monkeypatch):
    (tmp_path / "a.parquet").write_bytes(b"PAR1 cut off")
    with pytest.raises(UserError, match=r"a whole Parquet file at .*a\.parquet"):
        read(tmp_path / "a.parquet").layout()
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(UserError, match=r"the package datasets.*pip install datasets"):
        sources.find(tmp_path, Path("hf:owner/name"), from_within=False).layout()


class Rows:
    """The interface of a `datasets.Dataset` that faceemo uses, over a pyarrow table."""

    def __init__(self, table, cached):
        self.data, self.cache_files = table, [{"filename": str(cached)}]
        self.features = types.SimpleNamespace(arrow_schema=table.schema)

    def select_columns(self, columns):
        return Rows(self.data.select(columns), self.cache_files[0]["filename"])

    def with_format(self, name):
        assert name == "arrow"
        return self

    def iter(self, size):
        for start in range(0, len(self.data), size):
            yield self.data.slice(start, size)


def test_a_name_on_the_hub_is_read_by_datasets(tmp_path, monkeypatch):
    (tmp_path / "cache.arrow").write_bytes(b"rows")

    def load_dataset(name):
        if name != "owner/faces":
            raise ConnectionError("the hub cannot be reached\nand more")
        return {
            "train": Rows(make_table(range(6)), tmp_path / "cache.arrow"),
            "test": Rows(make_table(range(6, 9)), tmp_path / "cache.arrow"),
        }

    monkeypatch.setitem(sys.modules, "datasets", types.SimpleNamespace(load_dataset=load_dataset))
    source = sources.find(tmp_path, Path("hf:owner/faces"), from_within=False)
    found = source.layout()
    assert found.destinations["test#1"] == ("test", "happy", "test-1.jpeg")
    contents = dict(source.read_files(["test#1", "train#0"]))
    assert contents == {"test#1": jpeg(face(7)), "train#0": jpeg(face(0))}
    assert source.sha256()
    with pytest.raises(UserError, match=r"ConnectionError: the hub cannot be reached\. Fix"):
        sources.find(tmp_path, Path("hf:owner/other"), from_within=False).layout()


def test_a_dataset_that_holds_no_image_at_all_is_one_clear_error(tmp_path):
    images = [{"bytes": None, "path": f"{n}.jpg"} for n in range(12)]
    write(tmp_path / "a.parquet", make_table(range(12), image=images))
    selection = Selection(
        source=tmp_path / "a.parquet", classes=("angry", "happy"), splits="standard"
    )
    with pytest.raises(UserError, match=r"8 with problems; a\.parquet#0: its row has no bytes"):
        archive.ensure_originals(tmp_path / "out", selection=selection)
    assert not (tmp_path / "out" / archive.FOLDER).exists()
