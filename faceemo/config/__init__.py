"""The configuration of a run: its fields, their defaults, and what each field takes."""

from faceemo.config.classes import CLASSES, class_map_of, classes_of
from faceemo.config.fields import (
    ARCHS,
    AUGMENTATIONS,
    MAY_DIFFER,
    POLICIES,
    SPLITS,
    STUDY,
    UNFREEZE,
    WEIGHTS,
    default_workdir,
    make_config,
    rule,
    teachers,
    validate,
)
from faceemo.config.variants import VARIANTS

__all__ = [
    "ARCHS",
    "AUGMENTATIONS",
    "CLASSES",
    "MAY_DIFFER",
    "POLICIES",
    "SPLITS",
    "STUDY",
    "UNFREEZE",
    "VARIANTS",
    "WEIGHTS",
    "class_map_of",
    "classes_of",
    "default_workdir",
    "make_config",
    "rule",
    "teachers",
    "validate",
]
