"""Fields are spelled as the command in use takes them, whatever it is."""

import shlex

import pytest

from faceemo import main
from faceemo.commands import cli
from faceemo.commands.field_options import ALL, given_fields
from faceemo.config import field_words, make_config
from faceemo.config.argument import convert_text, parse

DEFAULTS = make_config("vgg16", "3")


@pytest.mark.parametrize("field", ALL)
def test_the_command_takes_what_is_spelled(field):
    value = DEFAULTS[field]
    with field_words.spelled(field_words.as_option):
        words = shlex.split(field_words.spell(field, value))
    options = cli.make_parsers()[1]["train"].parse_args(["vgg16:3", *words])
    assert given_fields(options) == {field: value}
    ((name, text),) = parse(field_words.spell(field, value))[1].items()
    assert (name, convert_text(field, text, type(value))) == (field, value)


def test_faceemo_main_takes_what_is_spelled():
    with field_words.spelled(field_words.as_flag):
        flag = field_words.spell("image_size", 96)
    main._check_config_options(["main", "--config=configs/vgg16.py:3", flag])
    assert flag == "--config.image_size=96"


def test_a_field_without_a_value_is_named():
    assert field_words.spell("image_size") == "image_size"
    with field_words.spelled(field_words.as_option):
        assert field_words.spell("image_size") == "--image-size"
        assert field_words.spell("ema", False) == "--no-ema"


def test_a_run_of_a_sweep_names_fields_as_the_sweep_takes_them(monkeypatch):
    assert field_words.form_of_process() is field_words.as_flag
    monkeypatch.setenv(field_words.IN_SWEEP, "1")
    with field_words.spelled(field_words.form_of_process()):
        assert field_words.spell("image_size", 96) == "--overrides image_size=96"
        assert field_words.spell("image_size") == "--overrides image_size=..."
