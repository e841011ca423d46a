"""Made-up and random ledgers, and their twins found by comparing every pair of rows."""

import dataclasses
import itertools

from hypothesis import strategies as st

from faceemo.config import CLASSES, SPLITS
from faceemo.data.ledger import near
from faceemo.data.ledger.groups import BYTES, DHASH, MIRRORED, NEAR, PIXELS
from faceemo.data.ledger.judge import judge
from faceemo.data.ledger.rules import POLICIES, Rules
from tests.support.data.likeness import alike
from tests.support.data.rows import row

STRICT = Rules(policy="strict")


def face_row(split, label, number, dhash="aa", pixels=None, confidence=0.9, **fields):
    """Makes the row of an image with a face: unique pixels and a shared dHash by default."""
    plain = {
        "face_confidence": confidence,
        "face_side": 300,
        "blank": 0.1,
        "dhash": dhash,
        "dhash_mirrored": "ff",
        "pixels_sha256": pixels or f"{split}{label}{number}",
    }
    return row(f"{split}/{label}/{number}.jpg", **plain | fields)


def unreadable(one):
    nothing = dict.fromkeys(("face_confidence", "face_side", "blank", "dhash", "pixels_sha256"))
    return dataclasses.replace(one, **nothing, problem="cut off")


@st.composite
def ledgers(draw):
    """Draws rows with few hashes and pixels, some likenesses, with and without faces."""
    rows = draw(
        st.lists(
            st.builds(
                face_row,
                st.sampled_from(SPLITS),
                st.sampled_from(CLASSES),
                st.integers(0, 99),
                st.sampled_from([f"0{digit}" for digit in "abcdefghijkl"]),
                st.one_of(st.none(), st.sampled_from(["p", "q", "r"])),
                st.sampled_from([0.9] * 6 + [0.2]),
                label_score=st.sampled_from([None, 0.05, 0.8]),
                predicted_label=st.just("sad"),
            ),
            max_size=24,
            unique_by=lambda row: row.path,
        )
    )
    # equal pixels have equal hashes
    rows = [
        dataclasses.replace(one, dhash=f"0{one.pixels_sha256}")
        if one.pixels_sha256 in "pqr"
        else one
        for one in rows
    ]
    rows = [unreadable(one) if draw(st.integers(0, 9)) == 0 else one for one in rows]
    first = {}
    for one in sorted(rows, key=lambda one: one.path):
        if one.pixels_sha256:
            first.setdefault(one.pixels_sha256, one.path)
    pairs = [
        (
            one,
            other,
            draw(st.integers(0, near.MAX_DISTANCE)),
            draw(st.sampled_from([0.55, 0.69, 0.7, 0.95])),
            draw(st.booleans()),
        )
        for one, other in itertools.combinations(sorted(first.values()), 2)
        if draw(st.integers(0, 3)) == 0
    ]
    return alike(rows, pairs)


some_rules = st.builds(
    Rules,
    policy=st.sampled_from(POLICIES),
    face_threshold=st.sampled_from([0.1, 0.5]),
    near_distance=st.integers(0, near.MAX_DISTANCE),
    near_similarity=st.sampled_from([0.6, 0.7, 0.9]),
    suspect_below=st.sampled_from([0.0, 0.1]),
)


def find_matches(rows, rules):
    """Compares every pair of rows and returns their kinds of match: {(path, path): kinds}."""
    likenesses = {}
    for one in rows:
        for like in one.similar:
            if like.distance <= rules.near_distance and like.similarity >= rules.near_similarity:
                kind = MIRRORED if like.mirrored else NEAR
                ends = frozenset((one.pixels_sha256, like.pixels_sha256))
                likenesses.setdefault(ends, set()).add(kind)
    found = {}
    for a, b in itertools.permutations(rows, 2):
        kinds = set(likenesses.get(frozenset((a.pixels_sha256, b.pixels_sha256)), ()))
        kinds |= {BYTES} if a.sha256 == b.sha256 else set()
        if a.pixels_sha256:
            kinds |= {PIXELS} if a.pixels_sha256 == b.pixels_sha256 else set()
            kinds |= {DHASH} if a.dhash == b.dhash else set()
        if kinds:
            found[a.path, b.path] = kinds
    return found


def fates(rows, rules):
    return {one.path: one.fate for one in judge(rows, rules)}
