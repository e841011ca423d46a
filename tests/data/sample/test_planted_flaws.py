"""What preparation finds of the flaws that the sample has planted."""

import dataclasses
import hashlib
import zipfile

import pytest

from faceemo.data.ledger import ledger
from faceemo.data.ledger.rules import ORIGINAL, STRICT, Rules
from faceemo.data.measure import boxes, face_detector
from faceemo.data.prepare import prepare
from faceemo.data.sample import planted_flaws, sample
from faceemo.data.source import archive

SEED = 1991921
EXACT = ("unreadable", "blank", "no face", "same pixels", "same dHash", "conflicting labels",
         "leak into test")  # fmt: skip


class Told:
    """In place of the detector, which has its own test: is told which contents are no faces."""

    workers = 2
    faceless: frozenset[str] = frozenset()

    def __init__(self, exact=False):
        pass

    def detect(self, images):
        found = (hashlib.sha256(image.tobytes()).hexdigest() for image in images)
        return [boxes.Detection(0.1 if one in Told.faceless else 0.9, None, 300) for one in found]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """The default sample, prepared: its root, rows and manifest."""
    from faceemo.data.measure.decode import decode

    root = tmp_path_factory.mktemp("sample")
    sample.write_zip(root, SEED)
    manifest = planted_flaws.read_manifest(root)
    assert manifest is not None
    faceless = [
        path
        for flaw in manifest["flaws"]
        if flaw["kind"] in ("blank", "non_face")
        for path in flaw["members"]
    ]
    with zipfile.ZipFile(root / archive.ZIP) as members:
        contents = [members.read(f"{archive.FOLDER}/{path}") for path in faceless]
    decoded = [decode(content).pixels for content in contents]
    Told.faceless = frozenset(
        hashlib.sha256(one.bgr.tobytes()).hexdigest() for one in decoded if one
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(face_detector, "Detector", Told)
        patch.setattr(prepare, "_PICTURES", {"screen": {}, "dedupe": {}})
        prepare.prepare(root)
    return root, ledger.read(root), manifest


@pytest.mark.parametrize("policy", [ORIGINAL, STRICT])
def test_recall_and_precision(prepared, policy):
    root, _, manifest = prepared
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(face_detector, "Detector", None)  # a replay needs none
        patch.setattr(prepare, "_PICTURES", {"screen": {}, "dedupe": {}})
        prepare.prepare(root, Rules(policy=policy))
    found = planted_flaws.recall(ledger.read(root), manifest)
    print(planted_flaws.table(found))
    for kind in EXACT:
        assert found[kind].planted > 0
        assert (found[kind].recall, found[kind].precision) == (1, 1), kind
    assert found["near"].planted >= 12
    assert found["near"].recall >= 0.9
    assert found["near"].precision >= 0.9


def test_what_is_missed_or_wrong_is_counted(prepared):
    _, rows, manifest = prepared
    whole = planted_flaws.recall(rows, manifest)
    blank = next(row for row in rows if row.blank == 1)
    broken = [
        dataclasses.replace(row, exact_group=None, duplicate_group=None, label_conflict=True)
        if row is not blank
        else dataclasses.replace(row, blank=0.5)
        for row in rows
    ]
    found = planted_flaws.recall(broken, manifest)
    assert found["blank"] == planted_flaws.Recall(
        whole["blank"].planted, whole["blank"].planted - 1, 0
    )
    assert (found["same dHash"].recall, found["same dHash"].precision) == (0, 1)
    assert found["conflicting labels"].recall == 1
    assert found["conflicting labels"].precision < 0.05
    assert found["near"] == whole["near"]


def test_only_a_sample_has_a_manifest(tmp_path):
    assert planted_flaws.read_manifest(tmp_path) is None
