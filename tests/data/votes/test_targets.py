"""Votes as targets: labels are drawn with their shares, and depend on nothing but the image."""

import dataclasses

import numpy as np
import pytest
from scipy import stats

from faceemo.data.augment.mixing import MixedBatch, training_batches
from faceemo.data.pipeline import epoch_order
from faceemo.data.votes import targets
from faceemo.errors import UserError
from tests.support.train.tiny import add_votes, make_split, tiny_config

SHARES = np.array(
    [[0.5, 0.25, 0.125, 0.125], [0, 0.7, 0, 0.3], [0.9, 0.1, 0, 0], [0, 0, 0, 1], [0, 0.2, 0.8, 0]],
    np.float32,
)


def test_labels_are_drawn_as_often_as_their_shares_say():
    epochs = 3000
    drawn = np.stack([targets.draw_labels(SHARES, 5, epoch) for epoch in range(epochs)])
    assert drawn.dtype == np.int32
    for image, shares in enumerate(SHARES):
        counts = np.bincount(drawn[:, image], minlength=4)
        possible = shares > 0
        assert not counts[~possible].any()
        if possible.sum() == 1:
            continue
        expected = np.float64(shares[possible])
        expected *= epochs / expected.sum()
        assert stats.chisquare(counts[possible], expected).pvalue > 1e-3
    # Neither two images nor two epochs in a row draw together.
    for one, two in ((drawn[:, 1], drawn[:, 4]), (drawn[:-1, 0], drawn[1:, 0])):
        table = np.histogram2d(one, two, bins=[np.unique(one).size, np.unique(two).size])[0]
        assert stats.chi2_contingency(table).pvalue > 1e-3


def test_draws_are_independent_of_the_order_and_differ_by_seed_and_epoch():
    shares = np.full((4000, 4), 0.25, np.float32)
    drawn = targets.draw_labels(shares, 5, 2)
    place = np.argsort(epoch_order(4000, 5, 2))
    assert stats.spearmanr(place, drawn).pvalue > 1e-3
    for seed, epoch in ((6, 2), (5, 3)):
        assert np.mean(targets.draw_labels(shares, seed, epoch) == drawn) < 0.3
    np.testing.assert_array_equal(targets.draw_labels(shares[:7], 5, 2), drawn[:7])


@pytest.mark.parametrize("mixup", [0.0, 0.2])
def test_batch_size_and_start_do_not_change_an_image_s_target(mixup):
    """Those of its partner neither; an image without votes has the target that its label is."""
    split = add_votes(make_split(23, 0))
    found = {}
    for size, start in ((4, 0), (7, 2), (23, 0), (32, 0)):
        for kind in ("sampled", "distribution"):
            config = tiny_config(batch_size=size, targets=kind, seed=9, mixup=mixup)
            for mixed in training_batches(split, config, 3, start):
                both = (mixed, mixed.partner) if isinstance(mixed, MixedBatch) else (mixed,)
                assert len(both) == 1 + bool(mixup)
                for batch in both:
                    for row in np.flatnonzero(batch.mask):
                        soft = None if kind == "sampled" else tuple(batch.targets[row])
                        seen = (batch.labels[row], soft)
                        assert found.setdefault((kind, batch.index[row]), seen) == seen
    assert split.votes is not None
    for index in range(23):
        label, soft = found["distribution", index]
        voted = split.votes.distribution[index]
        assert label == split.labels[index]
        assert soft == tuple(voted if voted.any() else np.eye(4, dtype=np.float32)[label])
        drawn, soft = found["sampled", index]
        assert soft is None
        assert voted[drawn] > 0 if voted.any() else drawn == label
    assert any(found["sampled", index][0] != split.labels[index] for index in range(23))


def test_labels_and_majorities_are_the_split_s_own():
    split = add_votes(make_split(6, 0))
    for kind in ("label", "majority"):
        assert targets.use_votes(split, tiny_config(targets=kind), 1) is split
    (batch,) = training_batches(split, tiny_config(batch_size=6), 0)
    assert batch.targets is None


@pytest.mark.parametrize("kind", ["majority", "distribution", "sampled"])
def test_targets_without_votes_are_refused(kind):
    split = make_split(6, 0)
    with pytest.raises(UserError, match=rf"targets='{kind}'.*no votes.*votes, or give targets=lab"):
        targets.refuse_missing(tiny_config(targets=kind), split)
    targets.refuse_missing(tiny_config(targets=kind), add_votes(split))
    targets.refuse_missing(tiny_config(), dataclasses.replace(split, votes=None))
