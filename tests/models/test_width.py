"""Narrow MobileNets equal those of keras.applications with its `alpha`."""

import jax
import numpy as np
import pytest

from faceemo import models
from faceemo.config import make_config
from faceemo.errors import UserError
from faceemo.models.weights import npz
from tests.models.test_networks import (
    ONE_POSITION,
    assert_close,
    flatten,
    make_zeros,
    replace,
    run_training,
)

TOLERANCE = 3e-3  # of the largest value, as for the whole MobileNet


def build(width, size, **fields):
    overrides = "".join(f",{name}={value}" for name, value in fields.items())
    text = f"9,weights=none,image_size={size},width={width}{overrides}"
    return models.build(make_config("mobilenet", text))


@pytest.fixture(scope="module", params=[0.25, 0.75])
def width(request):
    return request.param


@pytest.fixture(scope="module")
def oracle(networks, width):
    return networks(f"mobilenet-{width}")


@pytest.fixture(scope="module")
def keras(oracle, width):
    return oracle.weights(f"mobilenet-{width}")


@pytest.fixture(scope="module")
def loaded(oracle, width):
    """Variables with Keras's backbone; the head is zero."""
    model = build(width, 48)
    path = oracle.folder / f"mobilenet-{width}.h5"
    return models.load_weights(model, make_zeros(model), str(path))[0]


@pytest.mark.slow
@pytest.mark.parametrize("size", [48, 75, 96])
def test_inference_equals_keras(keras, loaded, width, size):
    norms = {
        name.removeprefix(f"norms{size}/"): array
        for name, array in keras.items()
        if name.startswith(f"norms{size}/")
    }
    params, statistics = (
        {"backbone": replace(loaded[part]["backbone"], norms)} for part in ("params", "batch_stats")
    )
    model = build(width, size)
    features, _ = jax.jit(model.features)(params, statistics, keras[f"inputs{size}"])
    assert features.shape[-1] == int(1024 * width)
    tolerance = ONE_POSITION if size == 48 else TOLERANCE
    assert_close(features, keras[f"features{size}"], tolerance)
    head = {n.removeprefix("head/plain/"): a for n, a in keras.items()}
    head = replace(make_zeros(model)["params"]["head"], head)
    assert_close(model.logits({"head": head}, features), keras[f"logits{size}/plain"], tolerance)


@pytest.mark.slow
def test_a_training_pass_equals_keras(keras, loaded, width):
    features, moved = run_training(build(width, 96), loaded, keras["inputs96"])
    assert_close(features, keras["training"], TOLERANCE)
    before = flatten({"params": {}, "batch_stats": loaded["batch_stats"]})
    for name, array in flatten({"params": {}, "batch_stats": moved}).items():
        if "/moving_" in name:
            assert_close(array - before[name], keras[f"moved/{name}"] - before[name], 1e-3)


@pytest.mark.parametrize(("width", "parameters"), [(0.25, 218_544), (0.5, 829_536), (1, 3_228_864)])
def test_the_backbone_has_the_parameters_that_keras_prints(width, parameters):
    # keras.applications.MobileNet(alpha=width, include_top=False).count_params()
    arrays = flatten(build(width, 64).shapes())
    assert sum(int(np.prod(array.shape)) for array in arrays.values()) == parameters


def test_only_mobilenet_is_narrow_and_only_by_some_widths():
    message = r"width=0.5 \(with weights='faceres' takes 1; another width needs weights='none'"
    with pytest.raises(UserError, match=message):
        make_config("mobilenet", "best,width=0.5")


def test_a_file_of_another_width_names_its_own(tmp_path):
    half, quarter = build(0.5, 32), build(0.25, 32)
    arrays = flatten(jax.tree.map(lambda leaf: np.ones(leaf.shape, np.float32), half.shapes()))
    path = tmp_path / "half.npz"
    recipe = {"config": make_config("mobilenet", "9,weights=none,width=0.5").to_dict()}
    npz.write(path, "mobilenet", arrays, half.preprocessing, recipe)
    with pytest.raises(UserError, match=r"found width=0.5\. Fix: give this width"):
        models.load_weights(quarter, make_zeros(quarter), str(path))
    variables, _, _ = models.load_weights(half, make_zeros(half), str(path))
    assert all((array == 1).all() for array in flatten(variables).values())
