"""Distillation (Hinton, Vinyals and Dean 2015): trained networks' probabilities as soft targets.

The teachers see the very inputs that the student is trained on, augmented, erased and mixed, each
at its own size ("consistent teaching", Beyer et al. 2022).
"""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from faceemo.assets import downloads
from faceemo.config import teachers as teacher_paths
from faceemo.config.field_words import spell
from faceemo.errors import UserError
from faceemo.models import Model
from faceemo.models.preprocessing import Preprocessing
from faceemo.train.checkpoint.trained_model import TrainedModel, stored_file


@dataclasses.dataclass(frozen=True)
class Teacher:
    """A trained network that teaches.

    Attributes:
        source: The path as it was given.
        sha256: Digest of the file, in hex.
        network: The network in the file.
    """

    source: str
    sha256: str
    network: TrainedModel

    @classmethod
    def load(cls, path: Path) -> "Teacher":
        """Reads a stored network.

        Raises:
            UserError: If there is none at `path`, or it is damaged.
        """
        network = TrainedModel.load(path)
        return cls(str(path), downloads.file_digest(stored_file(path), "sha256"), network)

    def to_dict(self) -> dict[str, Any]:
        """Returns the teacher's entry in the student's recipe: source, digest and own recipe."""
        return {"source": self.source, "sha256": self.sha256, "trained": self.network.recipe}


@dataclasses.dataclass(frozen=True)
class Distillation:
    """The teachers of a run and their part in its loss.

    Attributes:
        teachers: One or more networks, whose probabilities are averaged.
        share: The teachers' share of the loss, above 0 and at most 1; the rest is the labels'.
        temperature: Divisor of the logits of teachers and student.
    """

    teachers: Sequence[Teacher]
    share: float
    temperature: float

    def predict(self, make_inputs: Callable[[Model, Preprocessing], jax.Array]) -> jax.Array:
        """Computes the teachers' mean probabilities, float32 [B, C], at the temperature.

        Args:
            make_inputs: Function that makes a network's inputs, float32 [B, S, S, 3], from the
                network and its preprocessing.
        """
        found = []
        for network in (teacher.network for teacher in self.teachers):
            variables = network.variables
            inputs = make_inputs(network.model, network.preprocessing)
            logits, _ = network.model.apply(variables["params"], variables["batch_stats"], inputs)
            found.append(jax.nn.softmax(logits / self.temperature))
        return jnp.stack(found).mean(0)


def make_distillation(config: ConfigDict, classes: Sequence[str]) -> Distillation | None:
    """Reads the configured teachers.

    Args:
        config: The run's configuration.
        classes: The student's classes, in the order of its logits.

    Returns:
        None if the configuration names no teacher.

    Raises:
        UserError: If a file holds no trained network, or one for other classes.
    """
    if not teacher_paths(config):
        return None
    teachers = [Teacher.load(path) for path in teacher_paths(config)]
    for teacher in teachers:
        if (known := teacher.network.classes) != tuple(classes):
            raise UserError(
                expected=f"a teacher of the classes {', '.join(classes)}, in this order",
                found=f"{', '.join(known)} in {teacher.source}",
                fix="choose another teacher, or give its classes, in its order: "
                f"{spell('classes', '+'.join(known))}",
            )
    return Distillation(teachers, config.teacher_share, config.teacher_temperature)
