"""The words for another run in the same folder: short, without digests, with a way out."""

import pytest

from faceemo.config import make_config
from faceemo.errors import UserError
from faceemo.train.checkpoint.provenance import describe_configuration
from faceemo.train.checkpoint.stored_recipe import refuse_other_configuration, refuse_other_run

DIGEST = "0123456789abcdef" * 4
RUN = {
    "config": {"image_size": 96, "weights": "builtin", "source": "my_faces", "classes": "a+b"},
    "classes": ["a", "b"],
    "weights": {"source": "builtin", "sha256": DIGEST},
    "data": {"train": DIGEST, "validation": DIGEST},
}


def refuse(workdir, **changes):
    with pytest.raises(UserError) as refused:
        refuse_other_run(workdir, RUN | changes, RUN)
    return str(refused.value)


def test_other_images_and_classes_are_named(tmp_path):
    (tmp_path / "run-2").mkdir()
    said = refuse(
        tmp_path / "run",
        config=RUN["config"] | {"source": "other", "classes": "a+c"},
        classes=["a", "c"],
        data={"train": "f" * 64, "validation": DIGEST},
    )
    assert "the classes a, b (this run: a, c); the images of my_faces (this run: other)." in said
    assert f"Fix: give --workdir {tmp_path / 'run-3'}, or what" in said


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"data": {"train": "f" * 64, "validation": DIGEST}}, "images of my_faces as they were"),
        (
            {"weights": {"source": "builtin", "sha256": "f" * 64}},
            "other initial weights",
        ),
        (
            {"config": RUN["config"] | {"weights": "none"}, "weights": {"source": "none"}},
            "a run with weights='builtin' (this run: 'none'). Fix",
        ),
        (
            {"config": RUN["config"] | dict.fromkeys("defghi", 1)},
            "f=None (this run: 1); g=None (this run: 1); 2 more differences. Fix",
        ),
    ],
)
def test_what_differs_is_named_without_digests(tmp_path, changes, words):
    said = refuse(tmp_path / "run", **changes)
    assert words in said
    assert DIGEST not in said
    assert len(said) < 500


def test_what_the_configuration_alone_tells_is_refused_before_the_images_are_loaded(tmp_path):
    made = make_config("mobilenet", "0,source=faces,test_share=0.1")
    found = describe_configuration(made) | {"data": {"train": DIGEST, "validation": DIGEST}}
    moved = make_config("mobilenet", "0,source=moved,test_share=0.1,epochs=9")
    for there in (None, found):  # no run, and a run whose images may have moved only
        refuse_other_configuration(tmp_path, moved, there)
    other = make_config("mobilenet", "0,source=other,test_share=0.2")
    with pytest.raises(UserError) as refused:
        refuse_other_configuration(tmp_path, other, found)
    assert (
        "a run with the images of faces (this run: other); test_share=0.1 (this run: 0.2). "
        in str(refused.value)
    )
    longer = make_config("mobilenet", "best,epochs=9")
    with pytest.raises(UserError, match=r"schedule_epochs=20 \(this run: 9\)"):
        refuse_other_configuration(
            tmp_path,
            longer,
            describe_configuration(make_config("mobilenet", "best")) | {"data": {}},
        )
