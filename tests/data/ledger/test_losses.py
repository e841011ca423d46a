"""Words for images that are left out: counts and reasons of classes that lost all of them."""

import dataclasses

from faceemo.data.ledger import ledger, losses
from tests.support.data.rows import row


def unreadable(path, reason):
    return row(path, problem=reason, fate=ledger.UNREADABLE, reason=reason)


ROWS = [
    unreadable("train/sad/1.jpg", "image file is truncated (5 bytes not processed)"),
    unreadable("train/sad/2.jpg", "not an image file"),
    unreadable("train/sad/3.jpg", "image file is truncated (1,250 bytes not processed)"),
    row("train/sad/4.jpg", fate=ledger.NO_FACE, reason="best face confidence 0.1"),
    row("validation/sad/5.jpg", fate=ledger.KEPT),
    row("train/happy/6.jpg", fate=ledger.KEPT),
    unreadable("train/happy/7.jpg", "not an image file"),
]


def test_unreadable_files_are_counted_by_class_and_reason():
    assert losses.describe_unreadable(ROWS) == [
        "1 of 2 files of happy cannot be read: 1 not an image file",
        "3 of 5 files of sad cannot be read: 2 image file is truncated (5 bytes not processed), "
        "1 not an image file",
    ]


def test_a_class_that_lost_all_images_of_a_split_is_named_with_the_reasons():
    assert list(losses.list_emptied(ROWS)) == [
        "all 4 of sad in train: 1 no face, 3 unreadable (2 image file is truncated (5 bytes not "
        "processed), 1 not an image file)"
    ]
    kept = [dataclasses.replace(one, fate=ledger.KEPT, reason="") for one in ROWS]
    assert not list(losses.list_emptied(kept))
