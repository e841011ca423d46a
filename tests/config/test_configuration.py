"""The variants against the specification's table, and one clear message for every mistake."""

import importlib.util

import pytest

from faceemo import config as module
from faceemo.errors import UserError
from tests.support.places import CONFIGS

# Typed off the specification, a row per variant.
TABLE = """
none 1e-3 0   no  32  none
low  1e-3 0   no  32  none
low  1e-4 1   no  32  none
high 1e-4 1   no  32  none
high 1e-4 2   no  32  none
high 1e-4 2   yes 32  none
high 1e-5 2   yes 32  none
mid  1e-5 2   yes 32  none
mid  1e-5 3   yes 32  none
mid  1e-5 all no  32  none
mid  1e-5 all no  128 none
mid  1e-5 all no  128 balanced
"""


def load(arch, arg):
    spec = importlib.util.spec_from_file_location(arch, CONFIGS / f"{arch}.py")
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded.get_config(arg)


@pytest.mark.parametrize("arch", module.ARCHS)
@pytest.mark.parametrize(("number", "row"), list(enumerate(TABLE.strip().splitlines())))
def test_every_variant_of_every_backbone(arch, number, row):
    config = load(arch, str(number))
    augmentation, rate, unfreeze, extra, batch, weights = row.split()
    assert (config.arch, config.variant) == (arch, number)
    assert config.augmentation == augmentation
    assert config.learning_rate == float(rate)
    assert config.unfreeze == unfreeze
    assert config.extra_dense == (extra == "yes")
    assert config.batch_size == int(batch)
    assert config.class_weights == weights
    assert (config.image_size, config.epochs, config.patience) == (224, 6, 2)
    assert config.seed == 1991921


def test_fields_follow_the_variant():
    config = module.make_config("vgg16", "3,image_size=96,dataset=sample,extra_dense=true")
    assert (config.variant, config.image_size, config.dataset) == (3, 96, "sample")
    assert config.extra_dense is True


def test_every_field_has_a_rule():
    assert set(module.RULES) == set(module.make_config("vgg16"))


def test_the_config_is_locked():
    with pytest.raises(AttributeError):
        module.make_config("vgg16").imagesize = 48


@pytest.mark.parametrize(
    ("arg", "message"),
    [
        ("12", "variant from 0 to 11.*found the variant '12'. Fix"),
        ("-1", "variant from 0 to 11"),
        ("7,7", "found '7'"),
        ("7,image_size=48,image_size=96", "each field once; found image_size=48 and image_size=96"),
        ("7,epochs=4,8", "found '8' in '7,epochs=4,8'"),
        ("7,patience_metric=f1", "patience_metric='f1' .takes 'accuracy', 'loss'"),
        ("7,imagesize=48", "'imagesize' .did you mean 'image_size'.*:7,image_size=48"),
        ("7,arch=resnet50v2", "found the field 'arch'. Fix: remove the field"),
        ("7,image_size=big", "whole number for image_size.*'big'"),
        ("7,extra_dense=maybe", "true or false"),
        ("7,image_size=16", "image_size=16 .takes 32 to 1024"),
        ("7,unfreeze=4", "'0', '1', '2', '3', 'all'"),
        ("7,learning_rate=nan", "learning_rate=nan"),
        ("7,weights=nowhere.h5", "'hed', 'imagenet', 'none' or the path"),
        ("7,dtype=float16,dataset=web", "dtype='float16'.*dataset='web'"),
        ("bset", "0 to 11 or 'best'.*'bset'"),
        ("best,best", "found 'best'"),
        ("7,schedule=linear", "schedule='linear' .takes 'constant', 'cosine'"),
        ("7,warmup_epochs=6", "warmup_epochs=6 .takes less than epochs, 6"),
        ("7,batch_size=32,data_parts=3", "data_parts=3 .takes a number that divides .*, 32"),
        ("7,data_parts=0", "data_parts=0 .takes a whole number from 1"),
        ("7,warmup_epochs=-1", "warmup_epochs=-1.0 .takes a number from 0"),
        ("7,layer_decay=0", "layer_decay=0.0 .takes a number above 0 and at most 1"),
        ("7,weight_decay=-0.1", "weight_decay=-0.1"),
        ("7,clip_norm=inf", "clip_norm=inf"),
        ("7,label_smoothing=1", "label_smoothing=1.0 .takes a number from 0 to below 1"),
        ("7,mixup=-1,cutmix=nan", "mixup=-1.0.*cutmix=nan"),
        ("7,erasing=2", "erasing=2.0 .takes a number from 0 to 1"),
        ("7,ema=1", "ema=1.0"),
        ("7,cache_features=on", "cache_features='on' .takes 'auto', 'off'"),
    ],
)
def test_a_bad_argument_gives_one_error_that_names_what_is_allowed(arg, message):
    with pytest.raises(UserError, match=message):
        module.make_config("vgg16", arg)


@pytest.mark.parametrize(
    ("arg", "warmup"), [("best", 1), ("best,epochs=2", 1), ("best,epochs=1", 0.25), ("7", 0)]
)
def test_a_run_of_best_no_longer_than_its_warm_up_rises_for_a_quarter_of_it(arg, warmup):
    assert module.warmup_epochs(module.make_config("mobilenet", arg)) == warmup
    if warmup == 0.25:
        with pytest.raises(UserError, match=r"warmup_epochs=2 .takes less than epochs, 1"):
            module.make_config("mobilenet", f"{arg},warmup_epochs=2")


def test_weights_are_for_their_own_backbone():
    for arch, weights in (("resnet50v2", "hed"), ("resnet50v2", "lite0"), ("vgg16", "faceres")):
        with pytest.raises(UserError, match=f"weights='{weights}' .for {arch} takes '"):
            module.make_config(arch, f"7,weights={weights}")


def test_lite0_trains_all_blocks():
    with pytest.raises(UserError, match=r"unfreeze='2' .with weights='lite0' takes 'all'"):
        module.make_config("efficientnetb0", "7,weights=lite0")
    assert module.make_config("efficientnetb0", "7,weights=lite0,unfreeze=all").unfreeze == "all"


def test_the_default_weights_are_the_backbones_first():
    for arch, weights in (("vgg16", "imagenet"), ("mobilenet", "faceres")):
        assert module.make_config(arch, "7").weights == weights


def test_a_default_workdir_fits_a_file_system_and_stays_unique():
    names = ["+".join(f"{kind}{'ส' * 30}{n}" for n in range(9)) for kind in "ab"]
    workdirs = [
        module.default_workdir(module.make_config("vgg16", f"7,classes={name}")).name
        for name in names
    ]
    assert all(len(name.encode()) <= 200 for name in workdirs)
    assert len(set(workdirs)) == 2
    other = module.default_workdir(module.make_config("vgg16", f"8,classes={names[0]}")).name
    assert other.startswith("vgg16-8,classes=aส")


def test_the_default_workdir_names_what_was_changed():
    assert module.default_workdir(module.make_config("vgg16", "7,epochs=2")).name == "vgg16-7"
    changed = module.make_config("vgg16", "7,image_size=48,weights=none")
    assert module.default_workdir(changed).name == "vgg16-7,image_size=48,weights=none"


OFF = {
    "schedule": "constant",
    "warmup_epochs": 0,
    "layer_decay": 1,
    "weight_decay": 0,
    "clip_norm": 0,
    "label_smoothing": 0,
    "mixup": 0,
    "cutmix": 0,
    "erasing": 0,
    "ema": 0,
}


@pytest.mark.parametrize("arch", module.ARCHS)
def test_best_is_beyond_the_study_and_nothing_of_it_leaks_into_the_others(arch):
    best = load(arch, "best")
    assert best.variant == "best"
    assert best.unfreeze == ("3" if arch == "vgg16" else "all")
    assert any(best[field] != value for field, value in OFF.items())
    for number in range(12):
        config = load(arch, str(number))
        assert {field: config[field] for field in OFF} == OFF
    assert load(arch, "best,ema=0,epochs=3,warmup_epochs=0.5").ema == 0
    assert module.default_workdir(best).name == f"{arch}-best"


def test_a_schedule_that_ends_with_the_epochs_puts_them_in_the_folders_name():
    for arg, name in (
        ("7,epochs=9,cache_features=off", "vgg16-7"),
        ("7,epochs=9,schedule=cosine", "vgg16-7,epochs=9,schedule=cosine"),
        ("best,epochs=9", "vgg16-best,epochs=9"),
    ):
        assert module.default_workdir(module.make_config("vgg16", arg)).name == name
