"""Other libraries' notices are kept from the terminal, their errors and our own texts are not."""

import logging
import os
import sys
import warnings

import pytest

from faceemo.errors import UserError
from faceemo.inference.export.quiet import quiet

LOGGER = logging.getLogger("elsewhere")


def make_noise():
    print("a progress bar")
    print("a notice", file=sys.stderr)
    os.write(2, b"a notice from C++\n")
    LOGGER.warning("a warning")
    warnings.warn("a warning of Python", stacklevel=2)


def test_what_libraries_write_is_kept_from_the_terminal(capfd):
    print("ours, before")
    with quiet():
        make_noise()
    print("ours, after")
    os.write(2, b"C++, after\n")
    written = capfd.readouterr()
    assert written.out == "ours, before\nours, after\n"
    assert written.err == "C++, after\n"


def test_it_is_written_after_all_where_a_library_fails(capfd):
    @quiet()
    def fail():
        make_noise()
        raise RuntimeError("the converter failed")

    with pytest.raises(RuntimeError, match="the converter failed"):
        fail()
    written = capfd.readouterr()
    assert "a notice\n" in written.err
    assert "a notice from C++\n" in written.err


def test_a_mistake_of_the_user_keeps_its_one_line(capfd):
    with pytest.raises(UserError), quiet():
        make_noise()
        raise UserError(expected="the packages", found="none", fix="install them")
    assert capfd.readouterr() == ("", "")
