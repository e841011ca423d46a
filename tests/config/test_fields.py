"""Tests of the table of fields: complete, in agreement with the other tables, and readable."""

import hashlib
import json

from faceemo import config as module
from faceemo.config import fields
from faceemo.config.variants import Variant

# The sha256 of all configurations, with fields in the order in which checkpoints store them.
# Changing a recipe changes it; a change of the table alone must not.
STORED = "400ff813ab92a48da0deaf13d62e6dae4764b4a1a902cdaed1077827d02b4694"
# Fields that were added since, with defaults that change nothing.
NEWER = {
    *("patience_metric", "votes", "targets", "splits", "channels", "screen"),
    *("memory_share", "data_workers", "data_parts", "width"),
}


def test_stored_configurations_stay_what_they_are():
    text = json.dumps([
        [
            [item for item in config._fields.items() if item[0] not in NEWER],
            str(module.default_workdir(config)),
        ]
        for arch in module.ARCHS
        for config in (module.make_config(arch, str(variant)) for variant in [*range(12), "best"])
    ])  # fmt: skip
    assert hashlib.sha256(text.encode()).hexdigest() == STORED


def test_a_run_that_is_older_than_a_field_has_the_value_that_was_in_effect():
    stored = module.make_config("vgg16", "best").to_dict()
    for field in ("policy", "ema"):
        del stored[field]
    completed = module.complete(stored)
    assert (completed["policy"], completed["ema"]) == ("original", 0.0)
    assert completed["layer_decay"] == stored["layer_decay"]
    newer = module.complete(module.make_config("vgg16").to_dict())
    assert newer["policy"] == "strict"


def test_the_table_has_every_field_in_its_order_with_its_type():
    config = module.make_config("vgg16")
    assert list(module.FIELDS) == list(config._fields)
    for name, field in module.FIELDS.items():
        assert type(config[name]) is field.kind, name
        assert config[name] == field.default, "vgg16:7 is what is made without a name"
        assert module.RULES[name].holds(field.default), name


def test_variant_and_backbone_set_the_fields_that_the_table_says():
    assert set(fields.BY_VARIANT) == set(Variant.__dataclass_fields__)
    plain = module.make_config("vgg16", "0")
    for arch in module.ARCHS:
        for variant in range(12):
            config = module.make_config(arch, str(variant))
            changed = {name for name in module.FIELDS if config[name] != plain[name]}
            assert changed <= {*fields.BY_NAME, *fields.BY_VARIANT, *fields.BY_BACKBONE}


def test_every_field_has_one_sentence_and_a_group():
    for name, field in module.FIELDS.items():
        assert field.doc[0].isupper() or field.doc[0] == "'", name
        assert field.doc.endswith("."), name
        assert field.group in module.GROUPS, name
    assert {field.group for field in module.FIELDS.values()} == set(module.GROUPS)


def test_a_choice_that_a_sentence_names_exists():
    for name in ("augmentation", "class_weights", "bn_policy", "policy", "schedule", "dataset"):
        quoted = module.FIELDS[name].doc.split("'")[1::2]
        assert set(quoted) <= set(module.RULES[name].choices), name
