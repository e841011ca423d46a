"""No command writes over what it reads: it says so before any work."""

import pytest

from faceemo.inference import cli, explain, predict_files


@pytest.fixture
def refused(monkeypatch, capsys):
    """Runs a command that must refuse, before a network is read; returns what it says."""
    for module in (predict_files, explain):
        monkeypatch.setattr(module, "load", lambda _: pytest.fail("work has begun"))

    def run(*arguments):
        with pytest.raises(SystemExit) as stopped:
            cli.main([*map(str, arguments)])
        assert stopped.value.code == 2
        return capsys.readouterr().err

    return run


@pytest.fixture
def originals(photos, film):
    """All that must stay as it is."""
    paths = [film, *(path for path in photos.rglob("*") if path.is_file())]
    before = {path: path.read_bytes() for path in paths}
    yield before
    assert {path: path.read_bytes() for path in paths} == before


def test_pictures_are_not_drawn_beside_their_originals(refused, originals, photos):
    link = photos.with_name("link")
    link.symlink_to(photos)
    for folder in (photos, link, photos / "more" / ".."):
        for one in (photos, photos / "a pair.png", link / "a pair.png"):
            assert "holds the input" in refused("predict", "run", one, "--draw", folder)
            assert "holds the input" in refused("explain", "run", one, "--out", folder)
    elsewhere = photos.with_name("elsewhere")
    elsewhere.mkdir()
    (elsewhere / "crop.png").symlink_to(photos / "more" / "crop.png")
    message = refused("predict", "run", elsewhere, "--draw", photos / "more")
    assert "elsewhere" in message
    assert "no input" in message


def test_a_file_is_not_written_over_an_input(refused, originals, photos, film):
    crop = photos / "more" / "crop.png"
    assert f"the input {crop}" in refused("predict", "run", photos, "--out", crop)
    assert f"the input {film}" in refused("predict", "run", film, "--draw", film)
    assert f"the input {film}" in refused("predict", "run", film, "--out", film)
    link = film.with_name("link.mp4")
    link.symlink_to(film)
    assert f"the input {film}" in refused("predict", "run", film, "--draw", link)
    assert f"the input {link}" in refused("predict", "run", link, "--draw", film)
    network = photos.with_name("model.npz")
    network.write_bytes(b"weights")
    assert "model.npz" in refused("predict", network, film, "--out", network)


def test_a_folder_is_no_file_and_a_file_no_folder(refused, originals, photos, film):
    assert "a file as --out" in refused("predict", "run", film, "--out", photos)
    assert "a folder as --draw" in refused("predict", "run", photos, "--draw", photos / "wall.png")
    assert "a folder as --out" in refused("explain", "run", photos, "--out", film)


def test_what_is_beside_the_inputs_is_written(at_once, originals, photos, tmp_path, capsys):
    """Also for a second time."""
    for _ in range(2):
        options = ["--draw", str(tmp_path / "drawn"), "--out", str(photos / "answers.csv")]
        assert cli.predict(["run", str(photos), *options]) == 1
        assert cli.explain(["run", str(photos), "--out", str(tmp_path / "explained")]) == 1
        (photos / "answers.csv").unlink()
    assert {path.name for path in (tmp_path / "drawn").iterdir()} == {
        *("a pair.png", "crop.png", "wall.png")
    }
