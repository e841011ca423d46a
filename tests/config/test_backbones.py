"""Tables that describe backbones and variants agree with each other, wherever they stand."""

import ast

import pytest

from faceemo import models
from faceemo.assets import builtin, catalogue
from faceemo.config import ARCHS, BACKBONES, STUDY, VARIANTS, make_config
from tests.support.places import CONFIGS, REPOSITORY


def test_every_backbone_has_facts_a_network_and_a_configuration_file():
    assert set(models.NETWORKS) == set(BACKBONES)
    assert {path.stem for path in CONFIGS.glob("*.py")} == set(BACKBONES)
    assert {path.stem for path in (REPOSITORY / "faceemo" / "models").glob("*.py")} >= set(ARCHS)


def test_every_named_weight_can_be_fetched_and_none_is_unnamed():
    named = {
        f"{arch}.{name}"
        for arch, facts in BACKBONES.items()
        for name in facts.weights
        if name not in ("none", *builtin.FOLDERS)
    }
    fetched = {name for name in catalogue.ASSETS if name.partition(".")[0] in BACKBONES}
    assert named == fetched
    for name in builtin.FOLDERS:
        assert builtin.model_file(name).is_file()
        assert [arch for arch in ARCHS if name in BACKBONES[arch].weights] == ["mobilenet"]
    assert all("none" in facts.weights for facts in BACKBONES.values())


def test_the_study_trained_one_variant_of_each_of_its_backbones_longest():
    assert [(arch, BACKBONES[arch].final_variant) for arch in STUDY] == [
        ("vgg16", 7),
        ("resnet50v2", 8),
        ("efficientnetb0", 9),
    ]


@pytest.mark.parametrize("arch", ARCHS)
def test_the_table_in_a_configuration_file_is_what_the_file_makes(arch):
    text = ast.get_docstring(ast.parse((CONFIGS / f"{arch}.py").read_text("utf-8"))) or ""
    header, _, *rows = (
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in text.splitlines()
        if line.startswith("|")
    )
    assert header[:3] == ["variant", "augmentation", "learning rate"]
    assert [row[0] for row in rows] == [*map(str, range(len(VARIANTS))), "best"]
    for variant, augmentation, rate, unfreeze, extra, batch, class_weights in rows:
        config = make_config(arch, variant)
        assert config.augmentation == augmentation
        assert config.learning_rate == float(rate)
        assert config.unfreeze == unfreeze
        assert config.extra_dense == (extra == "yes")
        assert config.batch_size == int(batch)
        assert config.class_weights == class_weights


@pytest.mark.parametrize("arch", ARCHS)
def test_a_configuration_file_names_its_weights_and_what_best_changes(arch):
    text = ast.get_docstring(ast.parse((CONFIGS / f"{arch}.py").read_text("utf-8"))) or ""
    text = " ".join(text.split())
    for name, description in BACKBONES[arch].weights.items():
        assert f"`{name}`" in text
        assert description in text
    for field, value in BACKBONES[arch].best.items():
        if field not in ("learning_rate", "unfreeze"):
            assert f"{field}={value if isinstance(value, str) else f'{value:g}'}" in text
