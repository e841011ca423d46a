"""Images that another model was trained on, twins included; the formats that list them."""

import pytest

from faceemo.data.ledger import seen_elsewhere
from faceemo.data.ledger.rules import Rules
from faceemo.errors import UserError
from tests.support.data.likeness import alike
from tests.support.data.rows import row


def make_row(path, **fields):
    return row(
        path,
        **{"sha256": f"s{path}", "pixels_sha256": f"p{path}", "dhash": f"d{path}"} | fields,
    )


ROWS = alike(
    [
        make_row("train/sad/10.jpg"),
        make_row("validation/sad/90.jpg", pixels_sha256="ptrain/sad/10.jpg"),
        make_row("validation/sad/91.jpg", dhash="dtrain/sad/10.jpg"),
        *(make_row(f"validation/sad/{number}.jpg") for number in range(92, 97)),
        make_row(
            "validation/sad/97.jpg", sha256="strain/sad/10.jpg", pixels_sha256=None, dhash=None
        ),
        make_row("test/sad/face.jpg"),
    ],
    [
        ("train/sad/10.jpg", "validation/sad/92.jpg", 2, 0.8, False),
        ("train/sad/10.jpg", "validation/sad/93.jpg", 1, 0.8, True),
        ("train/sad/10.jpg", "validation/sad/94.jpg", 3, 0.8, False),  # too far
        ("train/sad/10.jpg", "validation/sad/95.jpg", 1, 0.6, False),  # not alike
        ("validation/sad/92.jpg", "validation/sad/96.jpg", 1, 0.9, False),  # would be a chain
    ],
)


def classify(trained, **rules):
    found = seen_elsewhere.classify(ROWS, trained, Rules(**rules))
    assert list(found) == [one.path for one in ROWS]
    groups = {
        kind: [] for kind in (seen_elsewhere.SEEN, seen_elsewhere.TWIN_SEEN, seen_elsewhere.UNSEEN)
    }
    for path, kind in sorted(found.items()):
        groups[kind].append(path.split("/")[-1].removesuffix(".jpg"))
    del groups[seen_elsewhere.UNSEEN]
    return groups


def test_twins_of_seen_images():
    expected = {"seen": ["10"], "twin seen": ["90", "91", "92", "93", "97"]}
    assert classify({10}) == expected
    assert classify({"strain/sad/10.jpg"}) == {
        "seen": ["10", "97"],
        "twin seen": ["90", "91", "92", "93"],
    }
    assert classify({10}, near_distance=3)["twin seen"] == ["90", "91", "92", "93", "94", "97"]
    assert classify({10}, near_similarity=0.9)["twin seen"] == ["90", "91", "97"]
    assert classify(set()) == {"seen": [], "twin seen": []}
    assert classify(range(90, 92)) == {"seen": ["90", "91"], "twin seen": ["10", "92", "93"]}


def test_fer_rows_are_parsed_from_file_names():
    for name in ("28709.jpg", "Training_28709.jpg", "x_028709.png"):
        assert seen_elsewhere.parse_fer_row(f"train/sad/{name}") == 28709
    for name in ("face28709.jpg", "a.jpg", "28709a.jpg"):
        assert seen_elsewhere.parse_fer_row(f"train/sad/{name}") is None


def test_ranges_of_rows_include_both_ends():
    assert seen_elsewhere.parse_rows("0-3,7, 9 - 10") == {0, 1, 2, 3, 7, 9, 10}
    for text in ("", "3-1", "-4", "1-", "a", "1;2", "1e3"):
        with pytest.raises(UserError, match="0-28708"):
            seen_elsewhere.parse_rows(text)


def test_files_hold_rows_ranges_and_hashes(tmp_path):
    path = tmp_path / "trained.txt"
    path.write_text(f"# rows\n5\n7-9 # more\n\n{'AB' * 32}  train/sad/1.jpg\n{'cd' * 32}\n")
    assert seen_elsewhere.read_training_images(path) == {5, 7, 8, 9, "ab" * 32, "cd" * 32}
    path.write_text("5\nfive\n")
    with pytest.raises(UserError, match="line 2"):
        seen_elsewhere.read_training_images(path)
    with pytest.raises(UserError, match="No such file"):
        seen_elsewhere.read_training_images(tmp_path / "nothing.txt")
