"""Tests of the choices for images of one's own, and of what is no such set."""

import shlex
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from faceemo.assets import builtin
from faceemo.commands import cli, own_images, targets
from faceemo.commands.field_options import given_fields
from faceemo.config import classes_of, make_config
from faceemo.errors import UserError
from faceemo.experiments import sweep


def write(folder, side=48, **counts):
    """Writes `counts` grey images of noise per folder, 'train/calm' written as train__calm."""
    rng = np.random.default_rng(3)
    for name, count in counts.items():
        place = folder / name.replace("__", "/")
        place.mkdir(parents=True)
        for number in range(count):
            pixels = rng.integers(0, 256, (side, side + 9), dtype=np.uint8)
            Image.fromarray(pixels).save(place / f"{number}.png")
    return folder


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def choose(path, **given):
    return own_images.choose(path, given)


def test_a_folder_per_class_is_all_that_is_needed(here):
    (write(here / "my_faces", calm=30, Angry=20, bored=25) / "empty").mkdir()
    target = targets.resolve("my_faces/", {})
    config = target.config
    assert classes_of(config) == ("Angry", "bored", "calm")
    assert (config.arch, config.weights) == ("mobilenet", builtin.NAME)
    assert (config.source, config.data_dir) == ("my_faces", "data/prepared/my_faces")
    assert (config.policy, config.validation_share) == ("strict", 0.2)
    assert str(target.workdir) == "checkpoints/my_faces"
    text = "\n".join(target.remarks)
    assert len(target.remarks) <= 7
    assert "75 images, for training and validation Angry 20" in text
    assert "about 60 training images, before near copies" in text
    assert "'empty' without an image" in text
    assert "the median shorter side of the images is 48 pixels" in text


@pytest.mark.parametrize(("few", "variant"), [(own_images.FEW_IMAGES, 0), (5, "best")])
def test_every_choice_is_printed_and_the_printed_command_makes_the_same_run(
    here, monkeypatch, few, variant
):
    monkeypatch.setattr(own_images, "FEW_IMAGES", few)
    write(here / "in the attic" / "faces, mine", calm=6, angry=6)
    target = targets.resolve("in the attic/faces, mine", {"seed": 5})
    *lines, command = target.remarks
    assert target.config.variant == variant
    plain = make_config("mobilenet", str(variant))
    for field, value in target.config.items():
        if value != plain[field] and field not in ("arch", "variant", "seed"):
            assert any(f"{field}={value}" in line for line in lines), field
    program, mode, *words = shlex.split(command.removeprefix("the same"))
    assert (program, mode) == ("faceemo", "train")
    options = cli.make_parsers()[1]["train"].parse_args(words)
    again = targets.resolve(options.target, given_fields(options), options.workdir)
    assert again.config == target.config
    assert again.workdir == target.workdir


def test_an_option_replaces_a_choice_and_is_marked(here):
    write(here / "faces", calm=6, angry=6, other=2)
    chosen = choose(here / "faces", classes="calm+angry", image_size=64)
    assert classes_of(chosen.config) == ("calm", "angry"), "in the user's order"
    assert chosen.config.image_size == 64
    text = "\n".join(chosen.explain(here))
    assert (
        "image_size=64 native_size=48: image_size as you gave it; native_size as in faceemo's "
        "network; the median shorter side of the images is 48 pixels; each image is used whole"
        in text
    )
    assert "classes=calm+angry: classes as you gave it; 12 images, for training" in text


def test_the_reasons_of_other_choices_remain_beside_an_option(here):
    write(here / "faces", calm=6, angry=6)
    _, _, network, training, _, _ = choose(
        here / "faces", augmentation="low", batch_size=8
    ).explain(here)
    assert network.endswith(
        "augmentation=low: augmentation as you gave it; the network that comes with faceemo knows "
        "emotions; with few images the head alone trains"
    )
    assert ": batch_size as you gave it; about 10 training images, before" in training


def test_names_are_mapped_before_they_are_counted(here):
    write(here / "faces", happiness=3, joy=3, sad=6)
    chosen = choose(here / "faces", class_map="happiness=happy+joy=happy")
    assert classes_of(chosen.config) == ("happy", "sad")


def test_classes_may_have_the_names_of_folders_of_a_run(here):
    write(here / "faces", best=6, latest=6)
    assert classes_of(targets.resolve("faces", {}).config) == ("best", "latest")


def test_splits_that_are_there_are_used(here):
    write(here / "set", train__calm=9, train__angry=9, val__calm=4, val__angry=4)
    chosen = choose(here / "set")
    assert "validation_share" not in "".join(chosen.explain(here))
    assert "26 images, for training angry 9, calm 9" in chosen.explain(here)[0]
    assert "about 18 training images" in chosen.explain(here)[3]


def test_shares_that_the_user_gives_count_for_the_training_images(here):
    write(here / "set", calm=50, angry=50)
    chosen = choose(here / "set", validation_share=0.3, test_share=0.3)
    assert "about 3 steps an epoch; about 40 training images" in chosen.explain(here)[3]


@pytest.mark.parametrize(
    ("named", "fix"),
    [
        ("set/calm", "name the folder above, set, if 'angry', 'calm' are"),
        ("set/calm/", "name the folder above, set, if 'angry', 'calm' are"),
        ("divided/train/calm", "name the folder above, divided, if 'angry', 'calm' are"),
        ("alone/calm", "sort the images into folders by class"),
    ],
)
def test_the_folder_of_one_class_is_refused_with_the_one_above(here, named, fix):
    write(here / "set", calm=6, angry=6)
    write(here / "divided" / "train", calm=6, angry=6)
    write(here / "alone", calm=6)
    message = f"two classes or more in {named.rstrip('/')}; found 6 images without .*Fix: {fix}"
    with pytest.raises(UserError, match=message):
        choose(Path(named))


def test_a_zip_and_a_csv_are_sources_too(here):
    write(here / "faces", calm=6, angry=6)
    with zipfile.ZipFile("faces.zip", "w") as archive:
        for path in (here / "faces").rglob("*.png"):
            archive.write(path, path.relative_to(here / "faces"))
    assert classes_of(choose(here / "faces.zip").config) == ("angry", "calm")
    pixels = " ".join(["7"] * 48 * 48)
    rows = [f"{emotion},{pixels},Training" for emotion in (3, 6) for _ in range(6)]
    (here / "fer2013.csv").write_text("\n".join(["emotion,pixels,Usage", *rows]))
    assert classes_of(choose(here / "fer2013.csv").config) == ("happy", "neutral")


def test_two_sets_never_share_a_folder(here):
    places = ("faces", "a/faces", "data/faces")
    for place in places:
        write(here / place, calm=6, angry=6)
    chosen = [choose(here / place) for place in places]
    assert len({one.name for one in chosen}) == len({one.config.data_dir for one in chosen}) == 3
    assert not {one.config.data_dir for one in chosen} & {*places, "data"}


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ({"calm": 9}, "two classes or more in .*; found one class: calm"),
        (
            {"calm": 9, "angry": 2},
            "at least 5 training images of each class.*; found angry 2. Fix: add images; if",
        ),
        (
            {"calm": 9, "sad": 9, "odd": 2},
            "Fix: add images, or train on the others .classes=calm.sad",
        ),
        ({"train__calm": 9, "train__angry": 9, "val__calm": 3}, "no image in 'validation/angry'"),
        ({"2019__calm": 9, "2020__angry": 9}, "several sets side by side: '2019/', '2020/'"),
        ({"a+b": 9, "c": 9}, r"names can be.*found 'a\+b' has '\+', which sep"),
        ({}, "found no image"),
    ],
)
def test_what_is_no_set_of_classes_is_refused_in_one_error(here, counts, message):
    (here / "set").mkdir()
    write(here / "set", **counts)
    with pytest.raises(UserError, match=message):
        choose(here / "set")


def test_a_class_without_a_folder_is_refused_with_those_that_exist(here):
    write(here / "set", calm=9, happy=6)
    message = (
        r"each class that you named in set; found none for angry; there are calm 9, happy 6\. Fix: "
        r"name folders that exist \(classes=calm\+happy\)"
    )
    with pytest.raises(UserError, match=message):
        choose(Path("set"), classes="happy+angry")


def test_images_beside_the_folders_of_the_classes_are_refused(here):
    write(here / "set", calm=6, angry=6)
    Image.new("L", (9, 9)).save(here / "set" / "loose.png")
    with pytest.raises(UserError, match=r"1 images elsewhere: 'loose.png'"):
        choose(here / "set")


def test_a_sweep_scores_the_images_of_the_command_train(here, monkeypatch, capsys):
    """The choices reach the command of each run, also a path with a comma."""
    write(here / "faces, mine", calm=6, angry=6, bored=6)
    planned = []
    monkeypatch.setattr(sweep, "train_runs", lambda runs, *rest: planned.extend(runs) or {})
    words = ["sweep", "--source", "faces, mine", "--archs", "mobilenet", "vgg16", "--variants=0"]
    assert cli.main([*words, "--overrides", "image_size=96,weights=none"]) == 0
    assert "image_size=96 native_size=48: image_size as you gave it" in capsys.readouterr().out
    trained = choose(here / "faces, mine").config
    names = ("classes", "validation_share", "policy", "native_size", "split_seed")
    for run in planned:
        assert [run.config[name] for name in names] == [trained[name] for name in names]
        assert (run.config.image_size, run.config.weights) == (96, "none")
        flags = run.command(here)
        assert "--config.source=faces, mine" in flags
        assert not any(flag.startswith("--config.image_size") for flag in flags)
    assert planned[0].workdir.parent == Path("checkpoints/sweep-faces_ mine")
    planned.clear()
    assert cli.main(words) == 0
    assert [run.config.weights for run in planned] == [builtin.NAME, "imagenet"]
    with pytest.raises(SystemExit):
        cli.main([*words, "--overrides", "source=elsewhere"])
    assert "faces, mine and --overrides source=elsewhere" in capsys.readouterr().err
