"""The fields of a configuration: type, default and meaning of each.

The table is the only home of these facts: configurations, the options of the commands and the page
docs/configuration.md are made from it. What values a field takes is in `faceemo.config.RULES`.
"""

import dataclasses
from typing import Any

from faceemo.config.classes import CLASSES
from faceemo.config.image_format import GREY


@dataclasses.dataclass(frozen=True)
class Field:
    """One field of a configuration.

    Attributes:
        group: Heading under which it is listed, one of `GROUPS`.
        doc: Its meaning, in one sentence.
        default: Value that it has unless it is set. For a field in `BY_VARIANT` or `BY_BACKBONE`,
            the value that an unnamed variant, or the first backbone, gives it.
    """

    group: str
    doc: str
    default: Any

    @property
    def kind(self) -> type:
        """The type of its values: bool, int, float or str."""
        return type(self.default)


NETWORK = "Network"
TRAINING = "Training"
AUGMENTING = "Augmentation and regularisation"
DISTILLING = "Distillation"
IMAGES = "Images and splits"
SCREENING = "Screening and duplicates"
RUNNING = "Checkpoints and cache"
GROUPS = (NETWORK, TRAINING, AUGMENTING, DISTILLING, IMAGES, SCREENING, RUNNING)

# Fields whose default is that of the variant (`faceemo.config.VARIANTS`), or of the backbone.
BY_VARIANT = (
    *("augmentation", "learning_rate", "unfreeze"),
    *("extra_dense", "batch_size", "class_weights"),
)
BY_BACKBONE = ("weights",)
# Fields that the configuration's name decides, 'vgg16:7'; no option sets them.
BY_NAME = ("arch", "variant")

FIELDS: dict[str, Field] = {
    "arch": Field(NETWORK, "Backbone.", "vgg16"),
    "variant": Field(
        NETWORK,
        "Variant of the study, or 'best', the recipe that goes beyond it; both set other fields.",
        7,
    ),
    "augmentation": Field(
        AUGMENTING,
        "Random transforms of training images: 'low' shifts, zooms and flips, 'mid' also rotates, "
        "'high' also changes contrast and gamma.",
        "mid",
    ),
    "learning_rate": Field(
        TRAINING,
        "Adam's learning rate: the highest one of a schedule, and the head's if layer_decay is "
        "below 1.",
        1e-5,
    ),
    "unfreeze": Field(
        TRAINING,
        "Number of the top convolutional blocks that train; the head always trains.",
        "2",
    ),
    "extra_dense": Field(NETWORK, "Whether the head has one more dense layer at its end.", True),
    "batch_size": Field(TRAINING, "Images per step, over all devices.", 32),
    "class_weights": Field(
        TRAINING,
        "Weights of the classes in the loss: 'balanced' is n / (classes * n_class).",
        "none",
    ),
    "bn_policy": Field(
        TRAINING,
        "BatchNorm in blocks that train: 'keras' uses batch statistics and their moving average, "
        "'frozen' the stored statistics as in inference, 'recalibrate' statistics over an epoch of "
        "training images before each validation.",
        "keras",
    ),
    "image_size": Field(
        NETWORK, "Side of the square image that enters the backbone, in pixels.", 224
    ),
    "width": Field(
        NETWORK,
        "Share of the channels that every layer of the backbone keeps (alpha in Keras); below 1 "
        "for mobilenet alone.",
        1.0,
    ),
    "epochs": Field(TRAINING, "Largest number of passes over the training images.", 6),
    "patience": Field(
        TRAINING,
        "Epochs without a better value of patience_metric before training stops; 0 never stops "
        "early.",
        2,
    ),
    "patience_metric": Field(
        TRAINING,
        "What early stopping watches on validation, 'accuracy' or 'loss'; the best checkpoint is "
        "that of the highest accuracy in either case.",
        "accuracy",
    ),
    "seed": Field(TRAINING, "Seed of initial weights, data order and augmentation.", 1991921),
    "dtype": Field(NETWORK, "Type of the activations; parameters stay float32.", "float32"),
    "weights": Field(
        NETWORK,
        "Initial weights: a name that the backbone has, such as 'imagenet' (configs/ lists them), "
        "'none' (random), or the path of a file (Keras's HDF5, or a trained network's .npz, whose "
        "backbone is used).",
        "imagenet",
    ),
    "dataset": Field(
        IMAGES,
        "'folder' (the source, or what data_dir holds) or 'sample' (drawn faces, made on the "
        "spot).",
        "folder",
    ),
    "data_dir": Field(
        IMAGES,
        "Folder in which images are searched for, and into which prepared data is written.",
        "data",
    ),
    "source": Field(
        IMAGES,
        "The images themselves if they are elsewhere: a zip, a folder, FER2013's csv, Parquet, a "
        "dataset of Hugging Face's hub ('hf:owner/name'), or several joined by '+'.",
        "",
    ),
    "classes": Field(
        IMAGES,
        "Classes in the order of the logits, joined by '+'; other classes of the source are left "
        "out.",
        "+".join(CLASSES),
    ),
    "class_map": Field(
        IMAGES,
        "Names in the source that mean one of the classes, such as 'joy=happy+calm=neutral'.",
        "",
    ),
    "votes": Field(
        IMAGES,
        "Table of the votes of several annotators on each image, such as FER+'s fer2013new.csv; "
        "empty takes those that the source itself has.",
        "",
    ),
    "targets": Field(
        IMAGES,
        "What the network is trained to predict: 'label' the source's labels, 'majority' the "
        "emotion with more than half of the votes, 'distribution' the share of the votes for each "
        "class, 'sampled' one vote, drawn anew in each epoch.",
        "label",
    ),
    "splits": Field(
        IMAGES,
        "'standard' keeps the source's own splits and makes those that it lacks; 'drawn' makes all "
        "of them anew.",
        "standard",
    ),
    "validation_share": Field(
        IMAGES,
        "Share of the training images set aside where there is no validation split.",
        0.1,
    ),
    "test_share": Field(
        IMAGES,
        "Share of the training images set aside where there is no test split; 0 makes none.",
        0.0,
    ),
    "split_seed": Field(IMAGES, "Seed of the splits that are made from train.", 1991921),
    "policy": Field(
        SCREENING,
        "Duplicates that are left out: 'strict' all that would span two splits, near and mirrored "
        "ones, too (test stays whole); 'original' those with equal dHash in train and validation, "
        "as in the original study; 'keep' none (images without a face stay, too).",
        "strict",
    ),
    "face_threshold": Field(
        SCREENING, "Confidence of the detector above which an image shows a face.", 0.5
    ),
    "screen": Field(
        SCREENING,
        "Whether a detector searches images for faces: 'yes' all of them, 'boxes' only those that "
        "are not cut out by a box of the source's lists, 'no' none. Images that are not searched "
        "count as faces.",
        "yes",
    ),
    "exact_screening": Field(
        SCREENING,
        "Whether the detector sees every image at 300 pixels, not first at a smaller size.",
        False,
    ),
    "near_distance": Field(
        SCREENING,
        "Largest number of bits in which the difference hashes of near duplicates differ.",
        2,
    ),
    "near_similarity": Field(
        SCREENING,
        "Smallest similarity of the pixels' fine structure at which images are near duplicates.",
        0.7,
    ),
    "suspect_below": Field(
        SCREENING,
        "Out-of-fold probability of its label (scripts/find_suspect_labels.py) below which a "
        "training image is left out; 0 leaves none out.",
        0.0,
    ),
    "native_size": Field(
        IMAGES,
        "Side at which decoded images are stored, in pixels; 0 is the median shorter side of the "
        "source's images, at most image_size.",
        48,
    ),
    "channels": Field(
        IMAGES,
        "Whether images are stored and seen by the network in 'grey' or in colour ('rgb'); 'auto' "
        "is 'rgb' if most of the source's images show colour.",
        GREY,
    ),
    "steps_per_epoch": Field(TRAINING, "Training steps per epoch; 0 uses every image.", 0),
    "checkpoint_every_steps": Field(
        RUNNING,
        "Steps between checkpoints inside an epoch; 0 saves after each epoch and on a stop signal.",
        0,
    ),
    "cache_features": Field(
        RUNNING,
        "'auto' computes the features of a frozen backbone once if its images never change; 'off' "
        "in every epoch.",
        "auto",
    ),
    "memory_share": Field(
        RUNNING,
        "Share of the machine's memory up to which all images are kept decoded in memory; more are "
        "read from disk as they are needed, which gives the same results; 0 always reads from "
        "disk.",
        0.5,
    ),
    "data_workers": Field(
        RUNNING,
        "Processes that read and decode training images which are not in memory; 0 does it in "
        "threads.",
        0,
    ),
    "data_parts": Field(
        IMAGES,
        "Number of parts of the training images, from each of which every batch takes equally "
        "many, so that each of several hosts needs only the files of its own parts.",
        1,
    ),
    "schedule": Field(
        TRAINING,
        "Learning rate after warm-up: 'constant', or 'cosine' (to zero at the last of the epochs).",
        "constant",
    ),
    "warmup_epochs": Field(
        TRAINING,
        "Epochs, or a part of one, in which the learning rate rises from almost zero; 'best' rises "
        "for a quarter of a run that has no more epochs than its warm-up.",
        0.0,
    ),
    "layer_decay": Field(
        TRAINING,
        "Factor of the learning rate from each block to the one below it, counted from the head; 1 "
        "is the same rate for all.",
        1.0,
    ),
    "weight_decay": Field(
        AUGMENTING,
        "AdamW's weight decay: every step takes learning_rate * weight_decay of each kernel away; "
        "0 is Adam.",
        0.0,
    ),
    "clip_norm": Field(
        TRAINING,
        "Largest norm of the gradient over all leaves that train; longer ones are scaled; 0 sets "
        "no limit.",
        0.0,
    ),
    "label_smoothing": Field(
        AUGMENTING, "Share of each target that is spread evenly over all classes.", 0.0
    ),
    "mixup": Field(
        AUGMENTING,
        "Alpha of the beta distribution by which each image is blended with another; 0 for none.",
        0.0,
    ),
    "cutmix": Field(
        AUGMENTING,
        "Alpha of the beta distribution for the area in which another image is pasted; 0 for none; "
        "with mixup too, each image gets one of the two at even odds.",
        0.0,
    ),
    "erasing": Field(AUGMENTING, "Probability that a rectangle of an image becomes noise.", 0.0),
    "ema": Field(
        AUGMENTING,
        "Decay per step of a moving average of the parameters, which is what is validated and what "
        "the best checkpoint holds; 0 for none.",
        0.0,
    ),
    "teacher": Field(
        DISTILLING,
        "Trained networks (the files model.npz, joined by '+') whose predictions are part of the "
        "target.",
        "",
    ),
    "teacher_share": Field(
        DISTILLING, "Share of the loss that compares with the teachers' predictions.", 0.5
    ),
    "teacher_temperature": Field(
        DISTILLING,
        "Divisor of the logits of teachers and student in that comparison.",
        1.0,
    ),
}

# Values, in runs that were stored before the field existed, of fields whose default has changed.
FORMER_DEFAULTS = {"policy": "original"}
