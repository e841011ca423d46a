"""Compares `power` with NumPy's power in float64."""

import jax
import numpy as np
import pytest

from faceemo.data.augment.fast_power import power


@pytest.fixture(scope="module")
def bases():
    """Bases from 0 to 1: evenly spaced, by orders of magnitude, and around powers of two."""
    edges = 2.0 ** -np.arange(1, 12)
    near = np.concatenate([np.nextafter(np.float32(edges), np.float32(side)) for side in (0, 1)])
    numbers = [np.linspace(0, 1, 20_001), np.geomspace(1e-38, 1, 2_001), edges, near]
    return np.sort(np.concatenate(numbers)).astype(np.float32)


@pytest.mark.parametrize("exponent", [0.5, 0.73, 1.0, 1.4, 2.0])
def test_power_is_within_its_tolerance(bases, exponent):
    found = np.asarray(jax.jit(power)(bases, np.float32(exponent)))
    expected = bases.astype(np.float64) ** exponent
    np.testing.assert_allclose(found, expected, rtol=0, atol=5e-5)
    np.testing.assert_allclose(found[bases > 1e-6], expected[bases > 1e-6], rtol=2e-4)
    assert abs(found[-1] - 1) < 1e-6
    assert 0 <= found[0] < 1e-18


def test_power_is_monotonic_up_to_rounding(bases):
    """A jump between two powers of two would be larger than the rounding of neighbours."""
    for exponent in (0.5, 1.9):
        steps = np.diff(np.asarray(power(bases, np.float32(exponent)), np.float64))
        assert steps.min() > -3e-7


def test_exponents_broadcast_over_rows():
    base = np.full((3, 2, 2), 0.25, np.float32)
    found = power(base, np.array([0.5, 1.0, 2.0], np.float32)[:, None, None])
    np.testing.assert_allclose(found[:, 0, 0], [0.5, 0.25, 0.0625], atol=1e-6)
