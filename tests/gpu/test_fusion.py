"""The fused operators that MXNet writes for our graphs compile with NVIDIA's compiler for all cards that are named."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

NVRTC = os.environ.get("ARCFACE_NVRTC", "")
COMPILE = os.path.join(os.path.dirname(__file__), "compile_fused.py")
ARCHITECTURES = ("70", "75", "80", "86", "89")  # V100, T4, A100, A10, L4
SMALL = "--width 0.07 --embedding-size 16 --image-size 32 --batch-size 8 --steps 2 --lr-drops 1 --devices gpu(0)"
RUNS = (
    "--network iresnet18",
    "--network iresnet18 --dtype float16",
    "--network iresnet18 --loss combined --intra-weight 1 --inter-weight 1",
    "--network iresnet18 --loss triplet --images-per-identity 4",
)

pytestmark = pytest.mark.skipif(not os.path.isdir(NVRTC), reason="pip could not get NVRTC 11.8 (tests/gpu/run.sh)")


@pytest.fixture(scope="module")
def sources(tmp_path_factory, tiny_faces):
    """A folder with the sources that some runs compile, each in a process that has compiled nothing before."""
    folder, runs = tmp_path_factory.mktemp("sources"), tmp_path_factory.mktemp("runs")
    for number, flags in enumerate(RUNS):
        to = folder / str(number)
        to.mkdir()
        words = [*flags.split(), *SMALL.split(), "--data", tiny_faces, "--run", str(runs / str(number))]
        environment = dict(os.environ, FAKE_CUDA_SOURCES=str(to))
        subprocess.run([sys.executable, "-m", "arcface_mx", "train", *words], env=environment, check=True)
    return folder


def compiled(folder, architectures):
    environment = dict(os.environ, LD_LIBRARY_PATH=NVRTC)
    command = [sys.executable, COMPILE, str(folder), *architectures]
    return json.loads(subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_fused_operators_compile_for_every_card(sources, architecture):
    result = compiled(sources, [architecture])
    assert result["version"] == [11, 8] and result["sources"] > 20
    assert result["errors"] == {}


def test_the_compiler_is_real(tmp_path):
    (tmp_path / "0.cu").write_text("__global__ void broken(float* x) { x[0] = y; }")
    (tmp_path / "0.options").write_text("")
    errors = compiled(tmp_path, ["70", "12"])["errors"]
    assert len(errors) == 2 and any('identifier "y" is undefined' in error for error in errors.values())
