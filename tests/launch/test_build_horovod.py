"""recipes/horovod.sh checks what it needs before it builds, and says in one line what is missing."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from arcface_mx.report import paper

SCRIPT = os.path.join(os.path.dirname(paper.default_path()), "horovod.sh")


def program(path, *lines):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(["#!/bin/sh", *lines]) + "\n")
    path.chmod(0o755)
    return str(path)


@pytest.fixture
def build(tmp_path, monkeypatch):
    """Run the script with a Python whose pip prints its environment; return exit code, output and error."""
    python = program(
        tmp_path / "python",
        f'case "$*" in *sysconfig*) echo {tmp_path}/site;;',
        "  *runtime*) exit ${FAKE_CPU_BUILD:-0};;",
        '  *pip*) env | grep ^HOROVOD_; echo "$@"; ls -L "$HOROVOD_NCCL_HOME/lib" "$HOROVOD_NCCL_HOME/include";;',
        f'  *) exec {sys.executable} "$@";; esac',
    )
    for name in ("CUDA_HOME", "HOROVOD_NCCL_HOME"):
        monkeypatch.delenv(name, raising=False)

    def run(*arguments, **environment):
        done = subprocess.run(
            ["bash", SCRIPT, *arguments],
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHON": python, **{name: str(value) for name, value in environment.items()}},
        )
        return done.returncode, done.stdout, done.stderr

    return run


@pytest.fixture
def cuda(tmp_path):
    program(tmp_path / "cuda" / "bin" / "nvcc", "echo Cuda compilation tools, release 11.7, V11.7.99")
    return tmp_path / "cuda"


def test_gpus_need_nvcc_of_cuda_11(build, cuda, tmp_path):
    code, _, error = build("--gpu", CUDA_HOME=tmp_path / "no cuda")
    assert code == 2 and error.startswith("horovod.sh: nvcc is missing: ") and error.count("\n") == 1
    program(cuda / "bin" / "nvcc", "echo Cuda compilation tools, release 12.4, V12.4.99")
    code, _, error = build("--gpu", CUDA_HOME=cuda)
    assert code == 2 and "is not of CUDA 11" in error and error.count("\n") == 1


def test_gpus_need_nccl_and_a_gpu_build_of_mxnet(build, cuda, tmp_path):
    code, _, error = build("--gpu", CUDA_HOME=cuda)
    if not any(os.path.exists(f"{folder}/include/nccl.h") for folder in ("/usr", "/usr/local")):
        assert code == 2 and error.startswith("horovod.sh: NCCL is missing: ") and error.count("\n") == 1
    (tmp_path / "nccl" / "include").mkdir(parents=True)
    (tmp_path / "nccl" / "include" / "nccl.h").touch()
    code, _, error = build("--gpu", CUDA_HOME=cuda, HOROVOD_NCCL_HOME=tmp_path / "nccl", FAKE_CPU_BUILD=1)
    assert code == 2 and "no working GPU build of MXNet" in error and error.count("\n") == 1


def test_gpus_are_built_with_nccl_of_the_wheel(build, cuda, tmp_path):
    wheel = tmp_path / "site" / "nvidia" / "nccl"
    for folder, name in (("include", "nccl.h"), ("lib", "libnccl.so.2")):
        (wheel / folder).mkdir(parents=True)
        (wheel / folder / name).touch()
    code, output, error = build("--gpu", "--prefix", "/somewhere", CUDA_HOME=cuda)
    assert code == 0, error
    lines = output.splitlines()
    assert {"HOROVOD_GPU_OPERATIONS=NCCL", "HOROVOD_NCCL_LINK=SHARED", f"HOROVOD_CUDA_HOME={cuda}"} <= set(lines)
    assert {"libnccl.so", "nccl.h", "HOROVOD_WITH_MXNET=1", "HOROVOD_WITH_GLOO=1"} <= set(lines)
    assert "-m pip install --no-build-isolation --prefix /somewhere horovod==0.28.1" in lines


def test_without_the_flag_nothing_is_built_for_gpus(build):
    code, output, error = build("--prefix", "/somewhere")
    assert "--prefix /somewhere horovod==0.28.1" in output, error
    assert "HOROVOD_GPU_OPERATIONS" not in output and "HOROVOD_WITH_GLOO=1" in output
