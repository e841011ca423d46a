"""Package metadata; the settings of the tools are in pyproject.toml."""

from pathlib import Path

from setuptools import find_packages, setup

# The CPU build is a fifth smaller; it does not exist for macOS and arm64.
CPU_WHEEL = "sys_platform == 'linux' and platform_machine == 'x86_64'"
NO_CPU_WHEEL = "sys_platform != 'linux' or platform_machine != 'x86_64'"
# The web demo and its API. Older starlettes put uploads of more than a megabyte onto the disk,
# whatever they are told, and older fastapis take none but those.
SERVE = ["fastapi>=0.115.10", "python-multipart>=0.0.18", "starlette>=0.46", "uvicorn>=0.30"]

setup(
    name="faceemo",
    version="0.1.0",
    description="Emotions in face images by transfer learning, in JAX and Flax",
    long_description=Path("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="MIT",
    python_requires=">=3.11",
    # The configuration files lie beside the package in a checkout, and in it once it is installed.
    packages=[*find_packages(include=["faceemo", "faceemo.*"]), "faceemo.configs"],
    package_dir={"faceemo.configs": "configs"},
    package_data={
        "faceemo": ["analysis/**/*.j2", "experiments/*.j2"],
        "faceemo.inference": ["builtin/*"],
        "faceemo.inference.serve": ["page/*"],
    },
    entry_points={"console_scripts": ["faceemo = faceemo.commands.cli:main"]},
    install_requires=[
        "absl-py",
        "array_record",
        # confident learning; before 2.9 its licence was the AGPL
        "cleanlab>=2.9",
        "clu",
        # which JAX needs to bound its cache of compiled programs
        "filelock",
        "flax>=0.12",
        "h5py",
        "ImageHash",
        "jax>=0.10",
        "jinja2",
        "matplotlib",
        "ml_collections>=1.0",
        "numpy",
        # OpenCV 5 has no Caffe importer, which the face detector needs
        "opencv-python-headless>=4.8,<5",
        "optax",
        "orbax-checkpoint>=0.11",
        "pillow",
        "scikit-learn",
        "scipy",
        "shtab",
        "tensorboard",
        f"tensorflow-cpu; {CPU_WHEEL}",
        f"tensorflow; {NO_CPU_WHEEL}",
        "tensorflow-datasets",
        "tqdm",
    ],
    extras_require={
        "test": [
            *("hypothesis", "httpx", "keras>=3", "pyright", "ruff", "statsmodels"),
            *SERVE,
            *("onnx", "onnx-ir", "onnxruntime"),
            *("pytest", "pytest-timeout", "pytest-xdist"),
        ],
        # beside `pip install --no-deps jax2onnx`: it asks for an older Orbax, without using it
        "onnx": ["onnx", "onnx-ir", "onnxruntime"],
        "bench": ["keras>=3", "torch"],
        "serve": SERVE,
        "cuda": ["jax[cuda12]"],
        "tpu": ["jax[tpu]"],
    },
)
