"""The page on GPUs installs every library that libmxnet.so of the GPU build needs."""

from __future__ import annotations

import os
import re
import subprocess

import mxnet as mx

from arcface_mx.util import cuda

PAGE = os.path.join(os.path.dirname(__file__), os.pardir, os.pardir, "recipes", "gpu.md")
WHEELS = {
    "libcudart": "nvidia-cuda-runtime-cu11",
    "libcublas": "nvidia-cublas-cu11",
    "libcudnn": "nvidia-cudnn-cu11",
    "libcufft": "nvidia-cufft-cu11",
    "libcurand": "nvidia-curand-cu11",
    "libcusolver": "nvidia-cusolver-cu11",
    "libcusparse": "nvidia-cusparse-cu11",
    "libnccl": "nvidia-nccl-cu11",
    "libnvToolsExt": "nvidia-nvtx-cu11",
    "libnvrtc": "nvidia-cuda-nvrtc-cu11",
    "libcuda": "",  # comes with the driver
}


def test_the_page_installs_the_libraries_that_mxnet_needs():
    library = os.path.join(os.path.dirname(mx.__file__), "libmxnet.so")
    needed = subprocess.run(["readelf", "-d", library], capture_output=True, text=True, check=True).stdout
    names = set(re.findall(r"NEEDED.*\[(lib(?:cu|nccl|nv)\w*)\.so", needed))
    assert names == set(WHEELS)
    linked = set(re.findall(r"NEEDED.*\[(lib(?:cu|nccl|nv)[^\]]*)\]", needed))
    assert linked == {*cuda.LIBRARIES, cuda.DRIVER} - {cuda.CUBLAS_LT}  # what is loaded before mxnet
    with open(PAGE, encoding="utf-8") as stream:
        page = stream.read()
    assert set(re.findall(r"nvidia-[a-z0-9-]+-cu11", page)) == set(WHEELS.values()) - {""}
