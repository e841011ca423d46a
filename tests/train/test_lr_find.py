"""The range test suggests a rate that works, on known curves and in training."""

import numpy as np
import pytest

from faceemo.data.augment.mixing import training_batches
from faceemo.errors import UserError
from faceemo.train import build_steps, freezing, lr_find, parallel
from faceemo.train.distillation import Distillation
from tests.support.train.recipe_steps import make_teacher
from tests.support.train.tiny import GREY, make_model, make_split, make_start, tiny_config

pytestmark = pytest.mark.slow

RATES = np.geomspace(1e-7, 1, 120)


def test_the_steepest_fall_of_a_known_curve_is_found():
    """The curve falls logistically about 1e-3 and rises from 1e-1 on: steepest in the middle."""
    place = np.log10(RATES)
    loss = 1 - 0.8 / (1 + np.exp(-4 * (place + 3))) + np.exp(6 * (place + 0.5))
    test = lr_find.RangeTest.from_losses(RATES, loss, loss)
    assert 10**-3.15 < test.suggestion < 10**-2.85


def test_non_finite_losses_do_not_count():
    place = np.log10(RATES)
    loss = 1 - 0.8 / (1 + np.exp(-4 * (place + 3)))
    loss[100:] = np.nan
    assert 10**-3.15 < lr_find.RangeTest.from_losses(RATES, loss, loss).suggestion < 10**-2.85


@pytest.mark.parametrize("loss", [np.linspace(1, 2, 120), np.full(120, np.nan), np.ones(3)])
def test_a_loss_that_never_falls_is_refused(loss):
    with pytest.raises(UserError, match="falls"):
        lr_find.RangeTest.from_losses(RATES[: len(loss)], loss, loss)


@pytest.fixture(scope="module")
def result():
    config = tiny_config(mixup=0.2, learning_rate=1.0)
    return lr_find.range_test(config, make_start(make_model()), make_split(70, 0))


def test_rates_grow_by_one_factor_and_the_average_is_corrected_for_its_start(result):
    np.testing.assert_allclose(result.rates, RATES[: len(result.rates)], rtol=1e-9)
    mean = 0.0
    for step, (loss, smoothed) in enumerate(zip(result.losses, result.smoothed, strict=True), 1):
        mean += 0.1 * (loss - mean)
        assert smoothed == pytest.approx(mean / (1 - 0.9**step))


def test_the_suggestion_trains_and_a_hundredth_of_it_does_not(result):
    def loss_after(rate, steps=30):
        config, model, train = tiny_config(), make_model(), make_split(70, 0)
        variables = model.init(0)
        variable_labels = freezing.label_variables(model, variables)
        optimizer = build_steps.build_optimizer(config, rate, model, variable_labels)
        step = build_steps.build_train_step(config, model, optimizer, variable_labels, GREY, train)
        state = build_steps.build_state(config, variables, optimizer, variable_labels)
        state = parallel.replicate(state)
        totals = []
        for epoch in range(steps // 5):
            for batch in training_batches(train, config, epoch):
                state, sums = step(state, parallel.shard(batch), epoch)
                sums = parallel.unreplicate(sums)
                totals.append((sums["loss"], sums["count"]))
        last = np.array(totals[-5:]).sum(0)
        return last[0] / last[1]

    assert 1e-3 < result.suggestion < 1
    assert loss_after(result.suggestion) < 0.8 * loss_after(result.suggestion / 100)


def test_the_table_names_the_suggestion(result):
    rows = result.format_table().splitlines()
    (suggested,) = [row for row in rows if "suggested" in row]
    assert float(suggested.split()[0]) == pytest.approx(result.suggestion, rel=0.1)
    assert 8 < len(rows) < 18


def test_a_teacher_has_its_share_of_the_loss():
    def first_loss(distillation):
        start, train = make_start(make_model()), make_split(70, 0)
        return lr_find.range_test(tiny_config(), start, train, distillation).losses[0]

    labels, teacher = first_loss(None), first_loss(Distillation([make_teacher(1)], 1.0, 1.0))
    assert abs(labels - teacher) > 1e-3
    both = first_loss(Distillation([make_teacher(1)], 0.25, 1.0))
    assert both == pytest.approx(0.75 * labels + 0.25 * teacher, abs=1e-5)
