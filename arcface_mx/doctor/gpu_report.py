"""The findings of `arcface-mx doctor --gpu`, each from a process of its own."""

from __future__ import annotations

import os
from importlib.machinery import PathFinder
from typing import Callable, Iterator, Optional

from arcface_mx.doctor.children import run_probe
from arcface_mx.doctor.finding import Finding
from arcface_mx.doctor.gpus import check_device, installed_cards
from arcface_mx.doctor.probes import COMPARED, OF_DEVICE
from arcface_mx.util.devices import device_names
from arcface_mx.util.mxnet_import import GPU_BUILD, TO_GPU, is_gpu_build

TF32, FLOAT32 = {"NVIDIA_TF32_OVERRIDE": None}, {"NVIDIA_TF32_OVERRIDE": "0"}


def examine_gpus(devices: str = "", probe: Callable[..., Finding] = run_probe) -> Iterator[Finding]:
    """Yield the findings about GPUs.

    Parameters
    ----------
    devices : str
        The devices to examine, for example "gpu(1)". The default is all GPUs that MXNet sees. A CPU
        context such as "cpu(1)" is compared with cpu(0), which tests the probes themselves.
    probe : callable
        Runs a probe of `probes.py` in a process of its own.
    """
    names = [f"{kind}({number})" for kind, number in device_names(devices)] if devices else []
    if not any(name.startswith("cpu") for name in names):
        missing = no_gpu_build()
        if missing:
            yield missing
            return
        for name in ("libraries", "driver", "fusion"):
            finding = probe(name)
            yield finding
            if finding.ok is False and name != "fusion":
                return
        count = probe("count", subject="GPUs")
        if not count.ok:
            yield count
            return
        names = names or [f"gpu({number})" for number in range(int(count.text))]
    for name in names:
        yield from examine_device(name, probe)


def examine_device(device: str, probe: Callable[..., Finding] = run_probe) -> Iterator[Finding]:
    """Yield the findings about one device. If it cannot multiply two matrices, that is the only one."""
    product = check_device(device)
    yield product
    if not product.ok:
        return
    for name in OF_DEVICE:
        if name in COMPARED:
            yield probe(name, device, variables=TF32)
            yield probe(name, device, f"{device} {name}, no TF32", FLOAT32)
        else:
            yield probe(name, device)


def no_gpu_build() -> Optional[Finding]:
    """Return what is missing if the installed MXNet is no GPU build, without importing it."""
    spec = PathFinder.find_spec("mxnet")
    if spec and spec.origin and is_gpu_build(os.path.dirname(spec.origin)):
        return None
    cards = [name for name, _ in installed_cards()]
    seen = f"this machine has {', '.join(cards)}" if cards else "the driver shows no NVIDIA card"
    build = "the installed mxnet is a CPU build" if spec and spec.origin else "MXNet is not installed"
    text = f"nothing was examined: {build}, and {seen}"
    return Finding("GPU", text, False, TO_GPU if cards else f"on a machine with an NVIDIA card: {GPU_BUILD}")
