"""The configuration of a run: its fields, their defaults, and what each field takes."""

from faceemo.config.augmentation import AUGMENTATIONS, Augmentation
from faceemo.config.backbones import ARCHS, BACKBONES, STUDY
from faceemo.config.classes import CLASSES, class_map_of, classes_of
from faceemo.config.configuration import (
    MAY_DIFFER,
    SPLITS,
    check_field,
    complete,
    default_workdir,
    make_config,
    validate,
)
from faceemo.config.fields import FIELDS, FORMER_DEFAULTS, GROUPS, Field
from faceemo.config.image_format import ImageFormat
from faceemo.config.validation import (
    POLICIES,
    RULES,
    SCREENS,
    SPLIT_SOURCES,
    TARGETS,
    UNFREEZE,
    teachers,
    warmup_epochs,
)
from faceemo.config.variants import VARIANTS

__all__ = [
    "ARCHS",
    "AUGMENTATIONS",
    "BACKBONES",
    "CLASSES",
    "FIELDS",
    "FORMER_DEFAULTS",
    "GROUPS",
    "MAY_DIFFER",
    "POLICIES",
    "RULES",
    "SCREENS",
    "SPLITS",
    "SPLIT_SOURCES",
    "STUDY",
    "TARGETS",
    "UNFREEZE",
    "VARIANTS",
    "Augmentation",
    "Field",
    "ImageFormat",
    "check_field",
    "class_map_of",
    "classes_of",
    "complete",
    "default_workdir",
    "make_config",
    "teachers",
    "validate",
    "warmup_epochs",
]
