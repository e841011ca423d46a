"""Reports without figures' contents, for tests of everything else in them.

To draw the figures takes most of the time of a report. What they show is tested on its own.
"""

import functools

import numpy as np
import pytest
from matplotlib.figure import Figure

from faceemo.analysis.report import epoch_pictures, figures

_NEED_A_HISTORY = ("accuracy", "loss")


def replace(monkeypatch):
    """Makes the figures of all reports, and the pictures of all epochs, empty ones."""
    for name, row in figures.FIGURES.items():
        draw = functools.partial(_draw, name in _NEED_A_HISTORY)
        monkeypatch.setitem(figures.FIGURES, name, row._replace(draw=draw))
    monkeypatch.setattr(epoch_pictures, "draw", _draw_epoch)


def _draw(needs_history, results, theme):
    if needs_history and not results.history:
        return None
    return Figure((0.5, 0.5), facecolor=theme.paper)


def _draw_epoch(predictions, subtitle):
    del predictions, subtitle
    return {"validation/confusion_matrix": np.zeros((2, 2, 3), np.uint8)}


@pytest.fixture
def plain_figures(monkeypatch):
    replace(monkeypatch)


@pytest.fixture(scope="module")
def module_plain_figures():
    """The same, for all tests of a module."""
    with pytest.MonkeyPatch.context() as patch:
        replace(patch)
        yield
