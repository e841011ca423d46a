"""Distillation (Hinton, Vinyals and Dean 2015): what trained networks answer is part of a target.

Teachers see the very look at each image that the student is trained on, augmented, erased and
mixed, each at its own size ("consistent teaching", Beyer et al. 2022).
"""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from faceemo.assets import downloads
from faceemo.config import teachers as named
from faceemo.errors import UserError
from faceemo.models import Model
from faceemo.models.preprocessing import Preprocessing
from faceemo.train.checkpoint import trained_model
from faceemo.train.checkpoint.trained_model import Stored

Look = Callable[[Model, Preprocessing], jax.Array]


@dataclasses.dataclass(frozen=True)
class Teacher:
    """One of them.

    Attributes:
        source: the path that was given.
        sha256: of the file, in hex.
        network: what it holds.
    """

    source: str
    sha256: str
    network: Stored

    def record(self) -> dict[str, Any]:
        """For the recipe of whom it teaches: source, hash and its own recipe."""
        return {"source": self.source, "sha256": self.sha256, "trained": self.network.recipe}


@dataclasses.dataclass(frozen=True)
class Teaching:
    """Who teaches, and how.

    Attributes:
        teachers: whose probabilities are averaged; one or more.
        share: of the loss that is theirs, from above 0 to 1; the rest is the labels'.
        temperature: by which the logits of teachers and student are divided for it.
    """

    teachers: Sequence[Teacher]
    share: float
    temperature: float

    def answers(self, look: Look) -> jax.Array:
        """What the teachers find: probabilities, float32 [B, C].

        Args:
            look: the inputs [B, S, S, 3] of a network, for what it expects of them.
        """
        found = []
        for network in (teacher.network for teacher in self.teachers):
            model, variables = network.build(), network.variables
            inputs = look(model, network.preprocessing)
            logits, _ = model.apply(variables["params"], variables["batch_stats"], inputs)
            found.append(jax.nn.softmax(logits / self.temperature))
        return jnp.stack(found).mean(0)

    def loss(self, logits: jax.Array, answers: jax.Array) -> jax.Array:
        """Cross-entropy of each row with the teachers' answers, float32 [B].

        It is multiplied by the square of the temperature, so that its gradients keep their size.
        """
        likely = jax.nn.log_softmax(logits / self.temperature)
        return -(answers * likely).sum(-1) * self.temperature**2


def teaching_of(config: ConfigDict, classes: Sequence[str]) -> Teaching | None:
    """What the fields that begin with teacher ask for; None where there is none.

    Args:
        config: of the run.
        classes: of the student, in the order of its logits.

    Raises:
        UserError: if a file holds no trained network, or one of other classes.
    """
    if not named(config):
        return None
    teachers = [_read(path) for path in named(config)]
    for teacher in teachers:
        if (known := teacher.network.classes) != tuple(classes):
            raise UserError(
                expected=f"a teacher of the classes {', '.join(classes)}, in this order",
                found=f"{', '.join(known)} in {teacher.source}",
                fix="choose another teacher, or --config.classes as it has them",
            )
    return Teaching(teachers, config.teacher_share, config.teacher_temperature)


def _read(path: Path) -> Teacher:
    network = trained_model.load(path)
    file = path / trained_model.NAME if path.is_dir() else path
    return Teacher(str(path), downloads.file_digest(file, "sha256"), network)
