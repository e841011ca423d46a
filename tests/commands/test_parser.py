"""Tests of the parser of all commands and scripts: one line for each mistake, spellings."""

import argparse

import pytest

from faceemo.commands.parser import Parser, fraction


def make_parser():
    parser = Parser(prog="tool")
    parser.add_argument("place")
    parser.add_argument("--arch", choices=("vgg16", "mobilenet"))
    parser.add_argument("--share", type=fraction)
    parser.add_argument("--many", type=int, nargs="+")
    one = parser.add_mutually_exclusive_group(required=True)
    one.add_argument("--rows")
    one.add_argument("--trained-on")
    return parser


@pytest.mark.parametrize(
    ("words", "expected", "found"),
    [
        ("p --rows 1 --arch vgg61", "one of vgg16, mobilenet as --arch",
         "'vgg61' (did you mean 'vgg16'?)"),
        ("p --rows 1 --arch xyz", "one of vgg16, mobilenet as --arch", "'xyz'"),
        ("p --rows 1 --arhc=vgg16", "an option of tool", "--arhc=vgg16 (did you mean --arch?)"),
        ("p --rows 1 -x", "no more words for tool", "-x"),
        ("p --rows 1 q", "no more words for tool", "q"),
        ("p --rows 1 --arch", "a value after --arch", "none"),
        ("p --rows 1 --many", "a value after --many", "none"),
        ("p --rows 1 --many two", "a whole number as --many", "'two'"),
        ("p --rows 1 --share 2", "a number from 0 to below 1 as --share", "'2'"),
        ("p --rows 1 --trained-on x", "--trained-on or --rows", "both"),
        ("p", "one of --rows, --trained-on", "none"),
        ("--rows 1", "place after tool", "none"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_one_line_of_three_parts(words, expected, found, capsys):
    with pytest.raises(SystemExit, match="2"):
        make_parser().parse_args(words.split())
    assert capsys.readouterr().err == (
        f"faceemo: error: expected {expected}; found {found}. Fix: correct the command; "
        "tool --help describes it\n"
    )


def test_every_message_of_argparse_becomes_one_line(capsys):
    """One that it does not know keeps argparse's words."""
    with pytest.raises(SystemExit, match="2"):
        Parser(prog="tool").error("something new")
    assert "expected what tool takes; found something new. Fix" in capsys.readouterr().err


def test_options_for_another_program_keep_their_underscores():
    parser = Parser()
    parser.add_argument("--data-dir")
    words = ["--data_dir", "d", "--config.image_size=9", "--", "--a_b"]
    options, unknown = parser.parse_known_args(words)
    assert options == argparse.Namespace(data_dir="d")
    assert unknown[0] == "--config.image_size=9"
    assert unknown[-1] == "--a_b"
