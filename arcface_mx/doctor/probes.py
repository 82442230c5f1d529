"""What `arcface-mx doctor --gpu` checks, one probe in each process.

`python -m arcface_mx.doctor.probes NAME DEVICE` prints the finding as a JSON object. A probe that compares
numbers takes the device, for example gpu(0), and compares it with cpu(0). MXNet is imported inside the probes
that need it, because it may be what is broken.
"""

from __future__ import annotations

import ctypes
import dataclasses
import json
import os
import sys
from typing import Callable, Dict, List

import numpy as np

from arcface_mx.doctor.finding import Finding, judge
from arcface_mx.doctor.gpus import is_supported
from arcface_mx.losses import LOSSES
from arcface_mx.util import cuda
from arcface_mx.util.mxnet_import import GPU_BUILD, TO_CPU, explain, is_gpu_build

OLDEST_DRIVER = 11020  # for MXNet's own kernels; NVRTC 11.8 needs a driver for CUDA 11.8
WRONG_NUMBERS = (
    "do not train on it; reinstall the libraries (pip install --force-reinstall 'arcface-mx[gpu]') and test the card"
)
FAILED = f"mend what is wrong in the lines above; if nothing is, install again: {GPU_BUILD} in a new environment"
CHECK_DRIVER = "check nvidia-smi and CUDA_VISIBLE_DEVICES"
NEW_DRIVER = "install NVIDIA's driver 520 or newer"
FALL_BACK = "if the same check without TF32 is right, set NVIDIA_TF32_OVERRIDE=0; else "


def libraries() -> Finding:
    """Load every library that the GPU build is linked to."""
    cuda.preload_libraries()
    linked = [name for name in cuda.LIBRARIES if name != cuda.CUBLAS_LT]  # which cuBLAS loads itself
    missing = [name for name in (*linked, cuda.DRIVER) if not _loads(name)]
    if not missing:
        version = ctypes.CDLL(cuda.CUDNN).cudnnGetVersion()
        return Finding("", f"{len(linked)} CUDA libraries and the driver's load; cuDNN {version}")
    remedy = NEW_DRIVER if missing == [cuda.DRIVER] else GPU_BUILD
    return Finding("", f"not found: {', '.join(missing)}", False, remedy)


def driver() -> Finding:
    """Ask the driver for its version and its cards."""
    try:
        version, cards = cuda.driver_version(), cuda.architectures()
    except OSError as error:
        return Finding("", f"the driver does not answer: {error}", False, CHECK_DRIVER)
    names = [f"{number // 10}.{number % 10}" for number in cards]
    listed = ", ".join(names) or "no card"
    text = f"driver for CUDA {version // 1000}.{version % 1000 // 10}; compute capability of the cards: {listed}"
    if not cards:
        return Finding("", text, False, CHECK_DRIVER)
    if version < OLDEST_DRIVER:
        return Finding("", text, False, NEW_DRIVER)
    unsupported = [name for name in names if not is_supported(name)]
    remedy = (
        f"the wheel has no code for {', '.join(unsupported)}: use a card from V100 to Ada (7.0 to 8.9), or {TO_CPU}"
    )
    return judge("", text, not unsupported, remedy)


def fusion() -> Finding:
    """Check whether NVRTC and driver can make fused kernels for the cards."""
    cuda.preload_libraries()
    obstacle = cuda.fusion_obstacle()
    if not obstacle:
        return Finding("", "NVRTC and the driver suit the cards, so operators are fused")
    remedy = f"{NEW_DRIVER}, and {GPU_BUILD}"
    return Finding("", f"operators are not fused, because {obstacle}", None, remedy)


def count() -> Finding:
    """Count the GPUs that MXNet sees. The text is the number alone."""
    import mxnet as mx

    if not mx.runtime.Features().is_enabled("CUDA"):
        note = "; files of the GPU build were overwritten" if is_gpu_build(os.path.dirname(mx.__file__)) else ""
        remedy = f"pip uninstall -y mxnet mxnet-cu117 && {GPU_BUILD}"
        return Finding("", f"the installed mxnet is a CPU build{note}", False, remedy)
    number = mx.context.num_gpus()
    return judge("", str(number), number > 0, CHECK_DRIVER)


def head(device: str) -> Finding:
    """Compare the margin head with Algorithm 1 in float64."""
    from arcface_mx.doctor import training
    from arcface_mx.doctor.head import TOLERANCE, head_error
    from arcface_mx.util.devices import parse_devices

    error = head_error(parse_devices(device)[0])
    limit = training.TF32_HEAD if training.may_use_tf32() else TOLERANCE
    text = f"margin logits and gradients within {error:.1e} of the float64 reference, limit {limit:g}"
    return judge("", text, error <= limit, _remedy())


def loss(name: str) -> Callable[[str], Finding]:
    """Return the probe that compares one training step with a loss."""

    def probe(device: str) -> Finding:
        from arcface_mx.doctor import training

        errors = training.step_errors(name, device)
        limits = training.step_limits(name)
        text = "; ".join(f"{part} within {error:.1e}, limit {limits[part]:g}" for part, error in errors.items())
        return judge("", f"a step differs from the CPU's: {text}", training.is_within(errors, limits), _remedy())

    return probe


def dropout(device: str) -> Finding:
    """Check that the seed decides which values dropout sets to 0."""
    import mxnet as mx

    from arcface_mx.util.devices import device_settings, parse_devices

    context, share = parse_devices(device)[0], 0.4
    off = not device_settings(device).cudnn_dropout
    symbol = mx.sym.Dropout(mx.sym.Variable("data"), p=share, **({"cudnn_off": True} if off else {}))
    executor = symbol.simple_bind(context, data=(64, 512), grad_req="null")

    def mask(seed: int) -> np.ndarray:
        mx.random.seed(seed)
        return executor.forward(is_train=True, data=mx.nd.ones((64, 512), context))[0].asnumpy()

    first, again, other = mask(1), mask(1), mask(2)
    kept = float((first > 0).mean())
    if abs(kept - (1 - share)) > 0.05 or (first == other).all():
        return Finding("", f"dropout keeps {kept:.3f} of the values instead of {1 - share:g}", False, WRONG_NUMBERS)
    remedy = "runs with dropout cannot be repeated: train with --dropout 0 where that matters"
    same = bool((first == again).all())
    return judge("", f"the same seed gives {'the same' if same else 'another'} mask", same, remedy)


def resume(device: str) -> Finding:
    """Check that a stopped run with --deterministic ends with the bits of an unbroken run."""
    from arcface_mx.doctor import training

    changed, equal = training.resume_equals_unbroken(device)
    if not changed:
        return Finding("", "two training steps change no parameter", False, WRONG_NUMBERS)
    remedy = "a resumed run differs in its last bits from an unbroken one; its results are as good"
    return judge("", f"stopped and resumed: {'the same bits' if equal else 'other bits'}", equal, remedy)


def float16(device: str) -> Finding:
    """Check that steps in half precision are finite and change the parameters."""
    from arcface_mx.doctor import training

    values, changed = training.half_precision_losses(device)
    ok = bool(np.isfinite(values).all()) and changed
    text = f"losses of steps in half precision {', '.join(f'{value:.3f}' for value in values)}"
    return judge("", f"{text}{'' if changed else '; no parameter changed'}", ok, "train with --dtype float32")


def memory(device: str) -> Finding:
    """Plan the paper's network for the memory that is free."""
    from arcface_mx.doctor import training

    fits, plan = training.largest_batch(device)
    free = (plan.capacity or 0) / 1e9
    text = (
        f"{free:.1f} GB free; by plan the paper's network on CASIA-WebFace takes at most {fits} images on this device"
    )
    return judge("", text, True if fits >= 64 else None, "end other processes on it, or use a smaller --batch-size")


ONCE: Dict[str, Callable[[], Finding]] = {"libraries": libraries, "driver": driver, "fusion": fusion, "count": count}
COMPARED: List[str] = ["head", *LOSSES]  # once as it is, and once without TF32
OF_DEVICE: Dict[str, Callable[[str], Finding]] = {
    "head": head,
    **{name: loss(name) for name in LOSSES},
    "dropout": dropout,
    "resume": resume,
    "float16": float16,
    "memory": memory,
}


def _remedy() -> str:
    from arcface_mx.doctor import training

    return (FALL_BACK if training.may_use_tf32() else "") + WRONG_NUMBERS


def _loads(name: str) -> bool:
    try:
        ctypes.CDLL(name)
    except OSError:
        return False
    return True


def main(name: str, device: str) -> None:
    """Run a probe and print its finding. What it prints meanwhile goes to standard error."""
    stream, sys.stdout = sys.stdout, sys.stderr
    try:
        finding = ONCE[name]() if name in ONCE else OF_DEVICE[name](device)
    except Exception as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[-1]
        remedy = "train with --dtype float32" if name == "float16" else explain(error) or FAILED
        finding = Finding("", f"the probe failed: {reason}", False, remedy)
    print(json.dumps(dataclasses.asdict(finding)), file=stream, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
