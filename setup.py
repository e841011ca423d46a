"""Package metadata; the settings of the tools are in pyproject.toml."""

import re
from pathlib import Path

from setuptools import find_packages, setup

# Its home; importing the package would need the packages that are yet to be installed.
PACKAGE = Path("faceemo/__init__.py").read_text(encoding="utf-8")
(VERSION,) = re.findall(r'^__version__ = "(.+)"$', PACKAGE, re.MULTILINE)
# The CPU build is a fifth smaller; it does not exist for macOS and arm64.
CPU_WHEEL = "sys_platform == 'linux' and platform_machine == 'x86_64'"
NO_CPU_WHEEL = "sys_platform != 'linux' or platform_machine != 'x86_64'"
TENSORFLOW = [f"tensorflow-cpu; {CPU_WHEEL}", f"tensorflow; {NO_CPU_WHEEL}"]
# Prediction, explanation, export to StableHLO and npz, and the server. faceemo/errors.py names the
# packages of the extras for the message to those who lack them.
BASE = [
    "absl-py",
    # which writes films that browsers play, with their sound; OpenCV writes neither
    "av>=15",
    # The web page and its API. Older starlettes put uploads of more than a megabyte onto the disk,
    # whatever they are told, and older fastapis take none but those.
    *("fastapi>=0.115.10", "python-multipart>=0.0.18", "starlette>=0.46", "uvicorn>=0.30"),
    # which JAX needs to bound its cache of compiled programs
    "filelock",
    # which jax.export writes with
    "flatbuffers",
    "flax>=0.12",
    "jax>=0.10",
    "jinja2",
    "matplotlib",
    "ml_collections>=1.0",
    "numpy",
    # OpenCV 5 has no Caffe importer, which the face detector needs
    "opencv-python-headless>=4.8,<5",
    "optax",
    # which reads the weights in a run's folder
    "orbax-checkpoint>=0.11",
    "pillow",
    # which reads the photographs of telephones
    "pillow-heif",
    # which assigns the faces of a frame to those before; JAX needs it too
    "scipy",
    # which writes the shells' completion
    "shtab",
    "tqdm",
]
TRAIN = [
    "array_record",
    # confident learning; before 2.9 its licence was the AGPL
    "cleanlab>=2.9",
    "clu",
    # which reads sets of images larger than memory
    "grain>=0.2.18",
    "h5py",
    "ImageHash",
    "scikit-learn",
    "scipy",
    "tensorboard",
    "tensorflow-datasets",
]
KERAS = ["keras>=3", *TENSORFLOW]
ONNX = ["onnx", "onnxruntime"]
PARQUET = ["pyarrow"]  # which also reads what `datasets` writes
DOCS = ["mkdocs-material>=9.5"]  # the documentation as a site

setup(
    name="faceemo",
    version=VERSION,
    description="Emotions in face images by transfer learning, in JAX and Flax",
    long_description=Path("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="MIT",
    license_files=["LICENSE", "ATTRIBUTION.md"],
    author="The faceemo authors",
    keywords=["emotion recognition", "facial expressions", "transfer learning", "JAX", "Flax"],
    classifiers=[
        "Development Status :: 4 - Beta",
        "Environment :: Console",
        "Environment :: Web Environment",
        "Intended Audience :: Science/Research",
        "Natural Language :: English",
        *(f"Programming Language :: Python :: 3.{minor}" for minor in (11, 12, 13)),
        "Topic :: Scientific/Engineering :: Image Recognition",
    ],
    python_requires=">=3.11",
    # The configuration files lie beside the package in a checkout, and in it once it is installed.
    packages=[*find_packages(include=["faceemo", "faceemo.*"]), "faceemo.configs"],
    package_dir={"faceemo.configs": "configs"},
    package_data={
        "faceemo": ["analysis/**/*.j2", "experiments/*.j2"],
        "faceemo.models.layers.extension": ["*.cc", "*.h"],
        "faceemo.inference": ["builtin/*", "builtin_four/*", "builtin_small/*"],
        "faceemo.inference.export.web": ["licences/*", "page/*"],
        "faceemo.inference.serve": ["page/*"],
    },
    entry_points={"console_scripts": ["faceemo = faceemo.commands.cli:main"]},
    install_requires=BASE,
    extras_require={
        "train": TRAIN,
        "keras": KERAS,
        "onnx": ONNX,
        "parquet": PARQUET,
        "test": [
            *TRAIN,
            *KERAS,
            *ONNX,
            *PARQUET,
            *("hypothesis", "httpx", "pyright", "ruff", "statsmodels"),
            *("pytest", "pytest-timeout", "pytest-xdist"),
            *("build", "packaging"),
            *("ipykernel", "nbclient"),  # which run the notebook of examples/
            *DOCS,
        ],
        "bench": [*TRAIN, *KERAS, *ONNX, "torch"],
        "docs": DOCS,
        "cuda": ["jax[cuda12]"],
        "tpu": ["jax[tpu]"],
    },
)
