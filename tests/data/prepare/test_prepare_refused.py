"""Checks that a preparation refuses unusable inputs before any long work."""

import pytest

from faceemo.commands import cli
from faceemo.data.measure import face_detector
from faceemo.data.prepare import prepare
from faceemo.data.source import archive
from faceemo.errors import UserError
from tests.support.data.planted import RULES, write_zip


def test_a_missing_detector_is_reported_before_long_work(tmp_path, monkeypatch):
    def missing(exact):
        raise UserError(expected="the detector", found="no network", fix="copy it")

    monkeypatch.setattr(face_detector, "Detector", missing)
    root = write_zip(tmp_path / "root")
    with pytest.raises(UserError, match="no network"):
        prepare.prepare(root, RULES)
    assert not (root / archive.FOLDER).exists()
    prepare.prepare(root, RULES, last="unpack")  # needs none


def test_a_missing_source_is_refused(tmp_path):
    with pytest.raises(UserError, match="put the zip at"):
        prepare.prepare(tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()


def test_a_damaged_record_is_refused(prepared):
    (prepared / prepare.RECORD).write_text("{")
    with pytest.raises(UserError, match="JSON"):
        prepare.prepare(prepared, RULES)


@pytest.mark.parametrize("command", [["explore"], ["prepare", "--until", "screen"], ["prepare"]])
def test_commands_report_missing_images_in_one_line(tmp_path, command, capsys):
    with pytest.raises(SystemExit) as stopped:
        cli.main([*command, "--data_dir", str(tmp_path)])
    assert stopped.value.code == 2
    message = capsys.readouterr().err
    assert message.startswith("faceemo: error: expected the face images as")
    assert message.count("\n") == 1
