"""Tests that a report names a run's facts in words."""

from faceemo.analysis.report import facts


def test_the_terms_of_images_stand_beside_the_network_that_learned_them():
    behind = {"source": "faces.npz", "trained": {"data": {"train": "bb"}, "weights": {}}}
    builtin = {"data": {"train": "aa"}, "weights": behind}
    _, tables = facts.describe({
        "image_terms": {"aa": "for research", "bb": "free", "cc": "mine", "dd": "unknown"},
        "data": {"train": "cc"}, "weights": {"source": "builtin", "trained": builtin},
    })  # fmt: skip
    assert tables[0][1] == [
        ("images of builtin", "for research"),
        ("images of faces.npz", "free"),
        ("images of this run", "mine"),
        ("dd", "unknown"),
    ]


def test_facts_have_words_and_values():
    other = {"config": {"arch": "vgg16", "variant": 7, "seed": 5}, "data": {"train": "aa"}}
    described, tables = facts.describe({
        "arch": "mobilenet", "val_macro_f1": 0.93727, "val_accuracy_interval": [0.8316, 0.97851],
        "params_trainable": 4100, "seed": 1991921, "devices": 1, "own_field": True,
        "teachers": [{"source": "a.npz", "trained": other}, {"source": "b.npz"}],
        "config": {"image_size": 48, "extra_dense": False},
        "weights": {"source": "builtin", "trained": other},
        "calibration": {"ece_before": 0.166},
    })  # fmt: skip
    assert described == [
        ("backbone", "mobilenet"),
        ("validation macro-F1", "0.9373"),
        ("95% interval of validation accuracy", "0.8316 to 0.9785"),
        ("parameters that train", "4,100"),
        ("seed", "1991921"),
        ("devices", "1"),
        ("own field", "yes"),
        ("teachers", "a.npz, vgg16:7, seed 5; b.npz"),
    ]
    assert tables == [
        ("configuration", [("image_size", "48"), ("extra_dense", "no")]),
        ("initial weights", [("source", "builtin"), ("run that made them", "vgg16:7, seed 5")]),
        ("calibration", [("expected calibration error as trained", "0.166")]),
    ]
