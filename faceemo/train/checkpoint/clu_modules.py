"""Imports CLU's modules without TensorFlow, of which the training loop uses nothing.

CLU imports TensorFlow for one of its writers, `SummaryWriter`, which costs seconds of processor
time and, where it is not installed, fails. Here, that writer's module is imported when a writer is
made.
"""

import importlib
import sys
from types import ModuleType
from typing import Any

_SUMMARY_WRITER = "clu.metric_writers.summary_writer"


def import_clu(name: str) -> Any:
    """Imports a module of CLU, and TensorFlow only if a `SummaryWriter` is made.

    Args:
        name: The module's name within CLU, such as 'metric_writers'.

    Returns:
        The module.
    """
    if "clu.metric_writers" not in sys.modules:
        stand_in = ModuleType(_SUMMARY_WRITER)
        stand_in.__dict__["SummaryWriter"] = _make_summary_writer
        sys.modules[_SUMMARY_WRITER] = stand_in
    return importlib.import_module(f"clu.{name}")


def _make_summary_writer(logdir: str) -> Any:
    return importlib.import_module("clu.metric_writers.tf.summary_writer").SummaryWriter(logdir)
