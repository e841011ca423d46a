"""Ranges of the rules: as wide as the recorded likenesses, and no wider."""

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
        ("near_distance", near.MAX_DISTANCE + 1),
        ("near_similarity", near.MIN_SIMILARITY - 0.01),
        ("suspect_below", 1.0),
    ],
)
def test_a_rule_out_of_range_is_refused(field, value):
    with pytest.raises(UserError, match=field):
        Rules(**{field: value})


def test_rules_may_be_as_wide_as_the_recorded_likenesses():
    Rules(near_distance=near.MAX_DISTANCE, near_similarity=near.MIN_SIMILARITY)
