"""The twelve variants of the study."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Variant:
    """One row of the study: what distinguishes a variant from its neighbours."""

    augmentation: str
    learning_rate: float
    unfreeze: str  # how many of the top convolutional blocks train
    extra_dense: bool
    batch_size: int
    class_weights: str


# The index is the variant's number.
VARIANTS = (
    Variant("none", 1e-3, "0", False, 32, "none"),
    Variant("low", 1e-3, "0", False, 32, "none"),
    Variant("low", 1e-4, "1", False, 32, "none"),
    Variant("high", 1e-4, "1", False, 32, "none"),
    Variant("high", 1e-4, "2", False, 32, "none"),
    Variant("high", 1e-4, "2", True, 32, "none"),
    Variant("high", 1e-5, "2", True, 32, "none"),
    Variant("mid", 1e-5, "2", True, 32, "none"),
    Variant("mid", 1e-5, "3", True, 32, "none"),
    Variant("mid", 1e-5, "all", False, 32, "none"),
    Variant("mid", 1e-5, "all", False, 128, "none"),
    Variant("mid", 1e-5, "all", False, 128, "balanced"),
)
