"""No network judges a label that it has learned, and each judge says how good it is."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from faceemo.analysis.labels import embeddings, hog, judges, suspects, training_images
from faceemo.assets import builtin
from faceemo.config import ImageFormat, make_config
from faceemo.data.ledger.training_hashes import MAX_DISTANCE, TrainingHashes
from faceemo.data.measure import hashing
from faceemo.errors import UserError
from faceemo.train.checkpoint import provenance, trained_model
from tests.support.data.rows import row

FOLDS = 2

NONE = np.zeros(2, int)  # other faces that are mistaken for training images


def row_of(number, label, split="train", **fields):
    """Returns a row with hashes that no training image of `builtin` has."""
    plain = {"has_face": True, "dhash": "aaaaaaaaaaaaaaaa", "dhash_mirrored": "5555555555555555"}
    return row(f"{split}/{label}/{number}.jpg", **plain | fields)


def backbone_of(find_seen):
    """Returns a backbone whose features are never computed."""
    return embeddings.FrozenBackbone(None, {}, {}, None, "the network", ImageFormat(48), find_seen)


@pytest.fixture
def parts(monkeypatch):
    """Lets `suspects.judge` record what it is asked; the network is always right."""
    asked = []

    def judge(features, labels, groups, seed, folds):
        classes, numbers = np.unique(labels, return_inverse=True)
        network = features.shape[1] == 3
        predicted = numbers if network else np.zeros_like(numbers)
        odds = np.full((len(labels), len(classes)), 0.1)
        odds[np.arange(len(labels)), predicted] = 0.9
        asked.append(("network" if network else "gradients", len(labels)))
        wrong = np.flatnonzero(predicted != numbers)
        joint = np.eye(len(classes)) / len(classes)
        return suspects.Verdict(tuple(map(str, classes)), numbers, odds, wrong, joint)

    monkeypatch.setattr(suspects, "judge", judge)
    monkeypatch.setattr(embeddings, "extract_features", lambda _, images: np.ones((len(images), 3)))
    monkeypatch.setattr(hog, "describe", lambda images: np.ones((len(images), 5)))
    return asked


def test_a_network_judges_only_what_it_was_not_trained_on(parts):
    rows = [row_of(n, "happy" if n % 2 else "sad", "train" if n < 12 else "test")
            for n in range(20)]  # fmt: skip
    images = np.zeros((20, 48, 48), np.uint8)
    trained = backbone_of(lambda rows: frozenset(r.path for r in rows if r.split == "train"))
    verdict, found = judges.judge(rows, images, trained, 0, FOLDS)
    assert parts == [("network", 8), ("gradients", 20)]
    assert [(one.about, one.score.images, one.score.right) for one in found] == [
        ("the network", 8, 8), ("oriented gradients", 12, 6)
    ]  # fmt: skip
    assert not found[0].is_useless
    assert found[1].is_useless, "it always predicts the first class"
    assert "may know nothing" in found[1].describe()
    # Of the test images none is suspect, and of train those that are not of the first class.
    assert {rows[index].path for index in verdict.suspects} == {
        one.path for one in rows if one.split == "train" and one.label == "sad"
    }
    assert [verdict.classes[n] for n in verdict.labels] == [one.label for one in rows]
    np.testing.assert_allclose(verdict.joint.sum(), 1)


@pytest.mark.parametrize("seen", ["all", "none", "all but one class"])
def test_gradients_judge_what_is_left(parts, seen):
    rows = [row_of(n, "happy" if n % 2 else "sad") for n in range(20)]
    chosen = {"all": rows, "none": [], "all but one class": [r for r in rows if r.label == "sad"]}
    trained = backbone_of(lambda _: frozenset(one.path for one in chosen[seen]))
    verdict, found = judges.judge(rows, np.zeros((20, 48, 48), np.uint8), trained, 0, FOLDS)
    by_network = seen == "none"
    assert parts == [("network", 20)] if by_network else [("gradients", 20)]
    assert [one.score.images for one in found] == [20]
    assert len(verdict.labels) == 20


@pytest.mark.parametrize("name", builtin.FOLDERS)
def test_a_network_of_faceemo_knows_its_training_images(tmp_path, name):
    """Its hashes belong to the network in the same folder: a new network needs new ones."""
    hashes = TrainingHashes.read(builtin.hashes_file(name))
    recipe = trained_model.read(Path(name)).recipe
    assert hashes.images == recipe["data"]["train"]
    assert provenance.find_other_images(recipe) == {}, "of its initial weights and teachers"
    path = tmp_path / "hashes.npz"
    hashes.write(path)
    np.testing.assert_array_equal(TrainingHashes.read(path).hashes, hashes.hashes)
    assert 0.02 < TrainingHashes.read(path).mistaken_share < 0.1


def test_training_images_are_found_within_a_few_bits_and_mirrored():
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 256, (48, 48), np.uint8)
    faces = {"same": picture, "mirrored": picture[:, ::-1], "other": np.roll(picture, 17, axis=1)}
    faces["enlarged"] = np.asarray(Image.fromarray(picture).resize((128, 128)))
    found = {}
    for name, face in faces.items():
        plain, mirrored = hashing.dhash([face, np.ascontiguousarray(face[:, ::-1])])
        found[name] = row_of(
            name,
            "sad",
            dhash=hashing.to_hex(int(plain)),
            dhash_mirrored=hashing.to_hex(int(mirrored)),
        )
    own = hashing.dhash([picture])
    rows = [*found.values(), row_of("unknown", "sad", dhash=None)]
    names = {Path(path).stem for path in TrainingHashes("", own, NONE).find(rows)}
    assert names == {"same", "mirrored", "enlarged", "unknown"}
    flipped = own ^ np.uint64(2**MAX_DISTANCE - 1)  # as many bits
    assert found["same"].path in TrainingHashes("", flipped, NONE).find(rows)
    one_more = own ^ np.uint64(2 ** (MAX_DISTANCE + 1) - 1)
    assert found["same"].path not in TrainingHashes("", one_more, NONE).find(rows)


def test_weights_that_learned_from_unknown_images_are_refused(tmp_path):
    copy = tmp_path / "copy.npz"
    copy.write_bytes(builtin.model_file(builtin.FOUR).read_bytes())
    with pytest.raises(UserError, match="whose training images are not known"):
        embeddings.load_pretrained("mobilenet", str(copy), 64)
    known = embeddings.load_builtin()
    first = hashing.to_hex(int(TrainingHashes.read(builtin.hashes_file(builtin.FOUR)).hashes[0]))
    rows = [row_of(1, "sad", "test", dhash=first), row_of(2, "sad", "test")]
    assert known.find_seen(rows) == {"test/sad/1.jpg"}


def test_a_run_does_not_judge_its_training_images_nor_their_twins(tmp_path):
    config = make_config("vgg16", "7").to_dict() | {"data_dir": str(tmp_path)}
    recipe = {"config": config, "classes": ["sad"], "data": {"train": "own"}, "weights": {}}
    rows = [row_of(1, "sad"), row_of(2, "sad", "validation", leaks=("train",)),
            row_of(3, "sad", "validation", leaks=("test",))]  # fmt: skip
    find = training_images.make_finder(recipe, tmp_path, tmp_path)
    assert find(rows) == {"train/sad/1.jpg", "validation/sad/2.jpg"}
    hashes = TrainingHashes.read(builtin.hashes_file(builtin.FOUR))
    learned = {"source": "builtin", "trained": {"data": {"train": hashes.images}, "weights": {}}}
    first = hashing.to_hex(int(hashes.hashes[0]))
    known = row_of(4, "sad", "validation", dhash=first)
    assert known.path not in find([*rows, known])
    find = training_images.make_finder(recipe | {"weights": learned}, tmp_path, tmp_path)
    assert known.path in find([*rows, known])
    other = json.loads(json.dumps(learned).replace(hashes.images, "other"))
    with pytest.raises(UserError, match="learned from other images"):
        training_images.make_finder(recipe | {"weights": other}, tmp_path, tmp_path)


def test_a_run_on_another_dataset_is_refused(tmp_path, monkeypatch):
    config = make_config("vgg16", "7").to_dict() | {"data_dir": str(tmp_path / "other")}
    recipe = {"config": config, "classes": ["sad"], "data": {"train": "own"}, "weights": {}}
    monkeypatch.setattr(training_images, "digest", lambda *_: "its")
    with pytest.raises(UserError, match="trained on those in"):
        training_images.make_finder(recipe, tmp_path / "run", tmp_path)
    monkeypatch.setattr(training_images, "digest", lambda *_: "own")  # a moved dataset
    training_images.make_finder(recipe, tmp_path / "run", tmp_path)
