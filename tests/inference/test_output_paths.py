"""Tests that no command overwrites its inputs; it refuses before any work."""

import pytest

from faceemo.commands import cli
from faceemo.inference import explain, predict_files


@pytest.fixture
def refuse(monkeypatch, capsys):
    """A function that runs a command that must refuse before work, and returns its message."""
    for module in (predict_files, explain):
        monkeypatch.setattr(
            module, "load", lambda _, **options: pytest.fail("the network was loaded")
        )

    def run(*arguments):
        with pytest.raises(SystemExit) as stopped:
            cli.main([*map(str, arguments)])
        assert stopped.value.code == 2
        return capsys.readouterr().err

    return run


@pytest.fixture
def originals(photos, film):
    """The inputs, which must not change."""
    paths = [film, *(path for path in photos.rglob("*") if path.is_file())]
    before = {path: path.read_bytes() for path in paths}
    yield before
    assert {path: path.read_bytes() for path in paths} == before


def test_images_are_not_drawn_into_a_folder_of_inputs(refuse, originals, photos):
    link = photos.with_name("link")
    link.symlink_to(photos)
    for folder in (photos, link, photos / "more" / ".."):
        for one in (photos, photos / "a pair.png", link / "a pair.png"):
            assert "holds the input" in refuse("predict", "run", one, "--draw", folder)
            assert "holds the input" in refuse("explain", "run", one, "--out", folder)
    elsewhere = photos.with_name("elsewhere")
    elsewhere.mkdir()
    (elsewhere / "crop.png").symlink_to(photos / "more" / "crop.png")
    message = refuse("predict", "run", elsewhere, "--draw", photos / "more")
    assert "elsewhere" in message
    assert "no input" in message


def test_a_file_does_not_overwrite_an_input(refuse, originals, photos, film):
    crop = photos / "more" / "crop.png"
    assert f"the input {crop}" in refuse("predict", "run", photos, "--out", crop)
    assert f"the input {film}" in refuse("predict", "run", film, "--draw", film)
    assert f"the input {film}" in refuse("predict", "run", film, "--out", film)
    link = film.with_name("link.mp4")
    link.symlink_to(film)
    assert f"the input {film}" in refuse("predict", "run", film, "--draw", link)
    assert f"the input {link}" in refuse("predict", "run", link, "--draw", film)
    network = photos.with_name("model.npz")
    network.write_bytes(b"weights")
    assert "model.npz" in refuse("predict", network, film, "--out", network)


def test_a_folder_for_a_file_and_a_file_for_a_folder_are_refused(refuse, originals, photos, film):
    assert "a file as --out" in refuse("predict", "run", film, "--out", photos)
    assert "a folder as --draw" in refuse("predict", "run", photos, "--draw", photos / "wall.png")
    assert "a folder as --out" in refuse("explain", "run", photos, "--out", film)


def test_output_beside_the_inputs_is_written(
    with_small_predictor, originals, photos, tmp_path, capsys
):
    """So it is when it exists already."""
    for _ in range(2):
        options = ["--draw", str(tmp_path / "drawn"), "--out", str(photos / "predictions.csv")]
        assert cli.main(["predict", "run", str(photos), *options]) == 1
        assert cli.main(["explain", "run", str(photos), "--out", str(tmp_path / "explained")]) == 1
        (photos / "predictions.csv").unlink()
    assert {path.name for path in (tmp_path / "drawn").iterdir()} == {
        *("a pair.png", "crop.png", "wall.png")
    }


@pytest.mark.parametrize("name", ["drawn.avi", "drawn.WMV"])
def test_films_that_no_browser_plays_are_refused(refuse, film, name):
    message = refuse("predict", "run", film, "--draw", film.with_name(name))
    assert f"Fix: name {film.with_name('drawn.mp4')}" in message
