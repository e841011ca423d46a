"""Detects that validation has collapsed into one class, with likely cause and fix."""

import math
from collections.abc import Sequence

import numpy as np

from faceemo.config.field_words import spell
from faceemo.train.checks import dead_features

# Entropy, in nats, of the predicted classes below which validation has collapsed: 0.1 is 98% in one
# class and 2% in another.
_COLLAPSED = 0.1
# If nearly all labels are the same, nearly constant predictions can be right. It is no collapse if
# accuracy exceeds that of a constant prediction by more than this share of its error rate.
_GAIN = 0.1
# Factor by which a loss may differ from that of guessing and still count as guessing.
_GUESSING = 1.03


def detect_collapse(
    logits: np.ndarray,
    labels: np.ndarray,
    classes: Sequence[str],
    *,
    train_accuracy: float,
    moving: bool,
    train_loss: float | None = None,
    constant_features: float = 0.0,
) -> str | None:
    """Detects a collapse of the predictions into one class.

    (Nearly) all images are then predicted as that class, and accuracy is hardly above its share,
    which says nothing about the model.

    Args:
        logits: The logits of the validation images, float [N, C].
        labels: Their labels, int [N].
        classes: The names of the C classes.
        train_accuracy: Training accuracy in the same epoch.
        moving: Whether validation uses BatchNorm's moving averages, which training does not use.
        train_loss: Training loss in the same epoch; None if it is no cross-entropy with the labels.
        constant_features: Share of the head's inputs that were the same for all images before
            training, see `dead_features.measure`.

    Returns:
        The warning, or None.
    """
    counts = np.bincount(logits.argmax(axis=1), minlength=len(classes))
    shares = counts[counts > 0] / counts.sum()
    entropy = abs(float((shares * np.log(shares)).sum()))
    if entropy >= _COLLAPSED or len(labels) < 2:
        return None
    predicted = int(counts.argmax())
    name, top = classes[predicted], counts.max() / counts.sum()
    accuracy = float((logits.argmax(axis=1) == labels).mean())
    share = float((labels == predicted).mean())
    if accuracy > share + _GAIN * (1 - share):
        return None
    # Clearly more than a constant prediction would reach (by validation's class shares, which stand
    # in for those of training).
    learned = train_accuracy > np.bincount(labels).max() / len(labels) + 0.1
    if learned and moving:
        cause = "training accuracy is above chance, so BatchNorm's moving statistics lag behind"
        fix = (
            f"{spell('bn_policy', 'recalibrate')}, a smaller {spell('batch_size')} or more "
            f"{spell('epochs')}"
        )
    elif learned:
        cause = (
            "training accuracy is above chance, so validation images differ from training images"
        )
        fix = "compare the two (faceemo explore, scripts/view_augmentations.py)"
    else:
        cause, fix = _explain_chance(labels, len(classes), train_loss, constant_features)
    return (
        f"validation has collapsed: {top:.0%} of the predictions are '{name}' (entropy "
        f"{entropy:.2f} of {math.log(len(classes)):.2f}), so that accuracy {accuracy:.3f} is "
        f"little more than that class's share, {share:.3f}. Likely cause: {cause}. Fix: {fix}"
    )


def _explain_chance(
    labels: np.ndarray, num_classes: int, loss: float | None, constant_features: float
) -> tuple[str, str]:
    """Returns likely cause and fix where training accuracy, too, is at chance."""
    if constant_features > dead_features.DEAD:
        return (
            f"before training {constant_features:.2%} of the features that enter the head were the "
            "same for all images, so it learns next to nothing",
            f"a larger {spell('image_size')}, other {spell('weights')}, or "
            f"{spell('unfreeze', 'all')}",
        )
    chance = "training accuracy is at chance too"
    if loss is None:
        return (
            f"{chance}, so the steps are too large or too few",
            f"a lower {spell('learning_rate')} (or a higher one, if the loss hardly moves), more "
            f"{spell('epochs')}",
        )
    shares = np.bincount(labels, minlength=num_classes) / len(labels)
    shares = shares[shares > 0]
    # A loss with weights of the classes, or with smoothed labels, is between these two.
    low, high = -float((shares * np.log(shares)).sum()), math.log(num_classes)
    if loss > _GUESSING * high:
        return (
            f"{chance}, and the training loss, {loss:.3f}, is above that of guessing, {high:.3f}, "
            "so the steps are too large",
            f"a lower {spell('learning_rate')}",
        )
    if loss < low / _GUESSING:
        return (
            f"{chance}, but the training loss, {loss:.3f}, is below that of guessing, {low:.3f}, "
            "so learning has only begun",
            f"more {spell('epochs')}",
        )
    return (
        f"{chance}, and the training loss, {loss:.3f}, is that of guessing, so the steps are too "
        "small or too few, or the images do not show what the labels say",
        "a higher learning_rate or more epochs (faceemo lr-find suggests a rate); then look at the "
        "images (faceemo explore)",
    )
