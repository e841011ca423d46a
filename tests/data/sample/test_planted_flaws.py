"""Checks recall and precision of the preparation on the sample's planted flaws."""

import dataclasses
import hashlib
import zipfile

import pytest

from faceemo.data.ledger import ledger
from faceemo.data.ledger.rules import ORIGINAL, STRICT, Rules
from faceemo.data.measure import boxes, face_detector
from faceemo.data.prepare import prepare
from faceemo.data.sample import planted_flaws
from faceemo.data.source import archive
from tests.support.data import drawn_zip

pytestmark = pytest.mark.slow

SEED = 1991921
EXACT = ("unreadable", "blank", "no face", "same pixels", "same dHash", "conflicting labels",
         "leak into test")  # fmt: skip


class ListDetector:
    """A stand-in for the detector that finds a face unless the image is in a given list."""

    workers = 2
    faceless: frozenset[str] = frozenset()

    def __init__(self, exact=False):
        pass

    def detect(self, images):
        found = (hashlib.sha256(image.tobytes()).hexdigest() for image in images)
        return [
            boxes.Detection(0.1 if one in ListDetector.faceless else 0.9, None, 300)
            for one in found
        ]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """The root, the ledger's rows and the manifest of the prepared default sample."""
    from faceemo.data.measure.decode import decode

    root = tmp_path_factory.mktemp("sample")
    drawn_zip.write(root, SEED)
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
    ListDetector.faceless = frozenset(
        hashlib.sha256(one.bgr.tobytes()).hexdigest() for one in decoded if one
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(face_detector, "Detector", ListDetector)
        patch.setattr(prepare, "_PICTURES", {"screen": {}, "dedupe": {}})
        prepare.prepare(root)
    return root, ledger.read(root), manifest


@pytest.mark.slow(seconds=15)
@pytest.mark.parametrize("policy", [ORIGINAL, STRICT])
def test_recall_and_precision(prepared, policy):
    root, _, manifest = prepared
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(face_detector, "Detector", None)  # other rules need no detector
        patch.setattr(prepare, "_PICTURES", {"screen": {}, "dedupe": {}})
        prepare.prepare(root, Rules(policy=policy))
    found = planted_flaws.count_flaws(ledger.read(root), manifest)
    print(planted_flaws.format_flaws(found))
    for kind in EXACT:
        assert found[kind].planted > 0
        assert (found[kind].recall, found[kind].precision) == (1, 1), kind
    assert found["near"].planted >= 12
    assert found["near"].recall >= 0.9
    assert found["near"].precision >= 0.9


def test_missed_and_wrong_items_are_counted(prepared):
    _, rows, manifest = prepared
    whole = planted_flaws.count_flaws(rows, manifest)
    blank = next(row for row in rows if row.blank == 1)
    broken = [
        dataclasses.replace(row, exact_group=None, duplicate_group=None, label_conflict=True)
        if row is not blank
        else dataclasses.replace(row, blank=0.5)
        for row in rows
    ]
    found = planted_flaws.count_flaws(broken, manifest)
    assert found["blank"] == planted_flaws.FlawCounts(
        whole["blank"].planted, whole["blank"].planted - 1, 0
    )
    assert (found["same dHash"].recall, found["same dHash"].precision) == (0, 1)
    assert found["conflicting labels"].recall == 1
    assert found["conflicting labels"].precision < 0.05
    assert found["near"] == whole["near"]


def test_only_a_sample_has_a_manifest(tmp_path):
    assert planted_flaws.read_manifest(tmp_path) is None
