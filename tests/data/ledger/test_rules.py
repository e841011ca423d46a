"""Rules reach as far as what is measured, and no further."""

import pytest

from faceemo.data.ledger import near
from faceemo.data.ledger.rules import Rules
from faceemo.errors import UserError


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("policy", "mild"),
        ("face_threshold", -0.1),
        ("face_threshold", 1.0),
        ("face_threshold", float("nan")),
        ("near_distance", near.FARTHEST + 1),
        ("near_similarity", near.LEAST - 0.01),
        ("suspect_below", 1.0),
    ],
)
def test_rules_out_of_range(field, value):
    with pytest.raises(UserError, match=field):
        Rules(**{field: value})


def test_rules_reach_as_far_as_what_is_measured():
    Rules(near_distance=near.FARTHEST, near_similarity=near.LEAST)
