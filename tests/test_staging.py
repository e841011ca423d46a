"""What is written appears whole or not at all, whenever the process dies."""

from pathlib import Path

import pytest

from faceemo import staging
from faceemo.errors import UserError


def fill(final, text):
    with staging.folder(final) as fresh:
        (fresh / "a").write_text(text)


def test_a_folder_replaces_the_former_one_whole(tmp_path):
    final = tmp_path / "out"
    fill(final, "one")
    (final / "extra").write_text("x")
    fill(final, "two")
    assert [path.name for path in final.iterdir()] == ["a"]
    assert (final / "a").read_text() == "two"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_of_a_link_the_link_is_replaced_and_what_it_leads_to_stays(tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "mine").touch()
    (tmp_path / "link").symlink_to(elsewhere)
    for _ in range(2):
        with staging.folder(tmp_path / "link") as partial:
            (partial / "fresh").touch()
    assert [path.name for path in (tmp_path / "link").iterdir()] == ["fresh"]
    assert {path.name for path in tmp_path.iterdir()} == {"elsewhere", "link"}
    assert (elsewhere / "mine").exists()


def test_what_a_killed_process_filled_in_is_there_for_the_same_key_alone(tmp_path):
    final = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt), staging.folder(final, "ab12") as fresh:
        staging.write_file(b"one", fresh, "1")
        (fresh / "sub").mkdir()
        staging.write_file(b"two", fresh, "sub/2")
        raise KeyboardInterrupt
    with staging.folder(final, "ab12") as fresh:
        assert (fresh / "1").read_bytes() == b"one"
        staging.copy_file(tmp_path / "missing", fresh, "sub/2")  # is there already
    assert (final / "sub/2").read_bytes() == b"two"
    with pytest.raises(KeyboardInterrupt), staging.folder(final, "cd34"):
        raise KeyboardInterrupt
    with staging.folder(final, "ef56") as fresh:
        assert not list(fresh.iterdir())
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_an_error_leaves_nothing_even_with_a_key(tmp_path):
    with pytest.raises(OSError, match="full"), staging.folder(tmp_path / "out", "ab12") as fresh:
        staging.write_file(b"one", fresh, "1")
        raise OSError("the disk is full")
    assert not list(tmp_path.iterdir())


def test_an_error_while_filling_leaves_the_former_folder(tmp_path):
    final = tmp_path / "out"
    fill(final, "one")
    with pytest.raises(KeyboardInterrupt), staging.folder(final) as fresh:
        (fresh / "a").write_text("half")
        raise KeyboardInterrupt
    assert (final / "a").read_text() == "one"


def test_death_between_the_two_renames_loses_nothing(tmp_path):
    """The former folder is under its hidden name, the new one still under its own."""
    final = tmp_path / "out"
    fill(final, "one")
    final.rename(tmp_path / ".out.old")
    with pytest.raises(RuntimeError), staging.folder(final):
        raise RuntimeError
    assert (final / "a").read_text() == "one"


def test_a_failing_rename_puts_the_former_folder_back(tmp_path, monkeypatch):
    final = tmp_path / "out"
    fill(final, "one")
    replace = type(final).replace

    def refuse(self, target):
        if self.name == ".out.partial":
            raise OSError("disk")
        return replace(self, target)

    monkeypatch.setattr(type(final), "replace", refuse)
    with pytest.raises(OSError, match="disk"):
        fill(final, "two")
    assert (final / "a").read_text() == "one"


def test_a_file_keeps_its_former_content_until_it_is_whole(tmp_path):
    final = tmp_path / "new" / "out.json"
    with staging.file(final) as partial:
        partial.write_text("one")
    with pytest.raises(RuntimeError), staging.file(final) as partial:
        partial.write_text("half")
        raise RuntimeError
    assert final.read_text() == "one"
    assert [path.name for path in final.parent.iterdir()] == ["out.json"]


def test_who_does_not_wait_for_a_folder_is_told_at_once(tmp_path):
    second = staging.locked(tmp_path, wait=False)
    with staging.locked(tmp_path), pytest.raises(BlockingIOError), second:
        pass
    with staging.locked(tmp_path, wait=False):
        pass


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="there is no /proc")
@pytest.mark.parametrize("place", ["/proc/out", "/proc/deep/out"])
def test_a_file_system_that_takes_no_files_is_one_error(place):
    message = f"can be written to at {place}; found a file system that takes no new files"
    with pytest.raises(UserError, match=message), staging.file(Path(place)) as partial:
        partial.write_text("x")
    with pytest.raises(UserError, match=message), staging.folder(Path(place)):
        pytest.fail("no folder can be made there")
    with pytest.raises(UserError, match=message):
        staging.make_folder(Path(place))


def test_another_file_that_is_missing_keeps_its_error(tmp_path):
    with pytest.raises(FileNotFoundError), staging.file(tmp_path / "out"):
        (tmp_path / "nothing").read_text()
