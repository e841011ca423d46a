"""Tests of the tree of commands: help, suggestions, spellings, completion, light imports."""

import re
import shutil
import subprocess
import sys

import pytest

import faceemo.config
from faceemo.commands import cli
from faceemo.commands.field_options import ALL
from tests.support.places import REPOSITORY

COMMANDS = cli.make_commands()
_, PARSERS = cli.make_parsers()


def give(capsys, *words):
    """Gives a command; returns its exit code and what it printed on both streams."""
    with pytest.raises(SystemExit) as stopped:
        cli.main(words)
    printed = capsys.readouterr()
    return stopped.value.code, printed.out + printed.err


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_a_command_explains_all_of_it(name, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    code, text = give(capsys, name, "--help")
    assert code == 0
    assert f"\n    faceemo {name} " in text or f"(faceemo {name} " in text, "an example"
    assert "Exit codes: 0" in text
    assert max(map(len, text.splitlines())) <= 100
    for action in PARSERS[name]._actions:
        assert action.help, action.dest
        for option in action.option_strings:
            assert re.search(rf"{option}\b", text)
    for line in text.splitlines():
        assert "%" not in line
        assert "None" not in line


def test_the_options_of_train_are_all_fields_with_their_meaning_and_default():
    actions = {action.dest: action for action in PARSERS["train"]._actions}
    for name in ALL:
        action, field = actions[name], faceemo.config.FIELDS[name]
        assert action.option_strings[0] == f"--{name.replace('_', '-')}"
        text = (action.help or "").replace("%%", "%")
        assert text.startswith(field.doc.removesuffix("."))
        assert re.search(r"\(default: .+\)$", text)
    assert actions["image_size"].help.endswith("(default: 224)")
    assert actions["classes"].help.endswith("(default: happy+neutral+sad+surprise)")
    assert actions["ema"].help.endswith("(default: 0)")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["trian"], "did you mean 'train'?"),
        (["train", "vgg16:7", "--imge-size", "96"], "did you mean --image-size?"),
        (["train", "vgg16:7", "--augmentation", "hihg"], "did you mean 'high'?"),
        (["train", "vgg16:7", "--image-size", "8"], "32 to 1024 as --image-size; found '8'"),
        (["train", "vgg16:7", "--epochs", "few"], "a whole number as --epochs; found 'few'"),
        (["prepare", "--until", "sreen"], "did you mean 'screen'?"),
        (["predict", "builtin", "--evry", "2"], "did you mean --every?"),
        (
            ["train"],
            "expected what to train (a configuration, the folder of a run, or images) after "
            "faceemo train; found none. Fix: write for example faceemo train my_faces/;",
        ),
        (
            ["serve"],
            "expected a network (the folder of a run, a model.npz or 'builtin') after "
            "faceemo serve; found none. Fix: write for example faceemo serve builtin;",
        ),
        (
            ["compare", "builtin"],
            "expected another run to compare with after faceemo compare; "
            "found none. Fix: write for example faceemo compare checkpoints/vgg16-7 ",
        ),
        (["export"], "then --format, then --out after faceemo export; found none"),
        (["--verson"], "did you mean --version?"),
        (["--image-size", "96", "train", "vgg16"], "put options after the command"),
        (["setup.py"], "faceemo predict builtin setup.py"),
    ],
)
def test_a_mistake_gets_a_suggestion_and_exit_code_2(capsys, monkeypatch, words, message):
    monkeypatch.chdir(REPOSITORY)
    code, text = give(capsys, *words)
    assert code == 2
    (line,) = text.splitlines()
    assert message in line


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["predict", "a photo.jpg"], "faceemo predict builtin 'a photo.jpg'"),
        (["predict", "model.npz"], "faceemo predict model.npz photo.jpg"),
        (["predict", "a run"], "faceemo predict 'a run' photo.jpg"),
        (["explain", "builtin"], "'builtin' alone. Fix: name both: faceemo explain builtin photo"),
        (["explain", "a photo.jpg"], "faceemo explain builtin 'a photo.jpg'"),
        (["predict", "builtin", "nothing.jpg"], "nothing at nothing.jpg"),
        (
            ["predict", "builtin", "--webcam", "-1"],
            "number from 0 on as --webcam; found '-1'",
        ),
        (["explore", "--seed", "x"], "a whole number from 0 on as --seed; found 'x'"),
        (["sweep", "--overrides", "epoch=2"], "Fix: write --overrides epochs=2"),
        (["sweep", "--seeds", "0"], "a whole number from 1 on as --seeds; found '0'"),
        (["evaluate", "a photo.jpg"], "found 'a photo.jpg', a file of another kind"),
        (["evaluate", "empty"], "found 'empty', an empty folder"),
        (["prepare", "--data-dir", "a photo.jpg"], "name a folder as --data-dir, which"),
    ],
)
def test_what_does_not_fit_gets_one_line(tmp_path, capsys, monkeypatch, words, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a photo.jpg").touch()
    (tmp_path / "model.npz").touch()
    (tmp_path / "empty").mkdir()
    (tmp_path / "a run" / "best" / "7").mkdir(parents=True)
    code, text = give(capsys, *words)
    assert code == 2
    assert message in text.splitlines()[-1]


def test_an_unknown_command_gets_one_line(capsys):
    assert give(capsys, "expolre") == (
        2,
        "faceemo: error: expected a command; found 'expolre' (did you mean 'explore'?). Fix: "
        "'faceemo' alone lists the commands\n",
    )


def test_faceemo_alone_lists_all_commands(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    code, text = give(capsys)
    assert code == 2
    lines = text.splitlines()
    assert lines[-1].startswith("faceemo: error: expected a command; found none. Fix: name one of")
    for name, command in COMMANDS.items():
        (line,) = (line for line in lines if line.split()[:1] == [name])
        assert line.endswith(command.summary)


def test_options_take_underscores_but_words_after_two_dashes_are_no_options():
    parser = PARSERS["train"]
    dashed = parser.parse_args(["vgg16:7", "--data-dir=my_data", "--image-size", "96"])
    assert parser.parse_args(["vgg16:7", "--data_dir=my_data", "--image_size", "96"]) == dashed
    assert dashed.data_dir == "my_data"
    found = PARSERS["predict"].parse_intermixed_args(["builtin", "--", "--a_b.png"])
    assert found.inputs == ["--a_b.png"]


def test_the_version_is_the_packages(capsys):
    assert give(capsys, "--version") == (0, f"faceemo {faceemo.__version__}\n")


def test_help_and_completion_import_nothing_heavy():
    code = """
import sys
from faceemo.commands import cli
top, parsers = cli.make_parsers()
[parser.format_help() for parser in (top, *parsers.values())]
cli.main(["completion", "bash"])
heavy = {"numpy", "jax", "flax", "optax", "orbax", "tensorflow", "matplotlib", "scipy", "cv2"}
heavy |= {"sklearn", "clu", "jinja2"}
sys.exit(str(heavy & sys.modules.keys()) if heavy & sys.modules.keys() else 0)
"""
    process = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60
    )
    assert process.returncode == 0, process.stderr


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (["faceemo", "tr"], {"train"}),
        (["faceemo", "train", "--lab"], {"--label-smoothing"}),
        (["faceemo", "train", "--augmentation", "h"], {"high"}),
        (["faceemo", "completion", ""], {"bash", "zsh", "tcsh"}),
        (["faceemo", "predict", "builtin", "--form"], {"--format"}),
        (["faceemo", "predict", "builtin", "a_ph"], {"a_photo.jpg"}),
        (["faceemo", "train", "my_f"], {"my_faces"}),
        (["faceemo", "train", "vgg16:7", "--weights", "a_ph"], {"a_photo.jpg"}),
    ],
)
def test_bash_completes(tmp_path, capsys, line, expected):
    (tmp_path / "a_photo.jpg").touch()
    (tmp_path / "my_faces").mkdir()
    assert cli.main(["completion", "bash"]) == 0
    words = " ".join(f"'{word}'" for word in line)
    script = f"""{capsys.readouterr().out}
COMP_WORDS=({words}) COMP_CWORD={len(line) - 1}
_shtab_faceemo faceemo '{line[-1]}' '{line[-2]}'
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
    process = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert set(process.stdout.split()) == expected, process.stderr


@pytest.mark.parametrize("shell", ["zsh", "tcsh"])
def test_other_shells_get_a_script_that_names_every_command(shell, capsys):
    assert cli.main(["completion", shell]) == 0
    text = capsys.readouterr().out
    assert all(name in text for name in COMMANDS)
