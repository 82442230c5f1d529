"""The GPUs of this machine: whether MXNet has code for them, and whether they compute correctly."""

from __future__ import annotations

import glob
import subprocess
import sys
from typing import Any, Dict, List, Optional, Sequence, Tuple

from arcface_mx.doctor.children import run_child
from arcface_mx.doctor.finding import Finding, judge
from arcface_mx.util.mxnet_import import TO_GPU

# Compute capabilities in the wheels mxnet-cu111 to mxnet-cu117. They hold no PTX, which a driver could
# compile for newer cards.
CAPABILITIES = ((5, 0), (6, 0), (7, 0), (8, 0), (8, 6))
COUNT = [
    sys.executable,
    "-c",
    "import arcface_mx, json, mxnet; print(json.dumps({'count': mxnet.context.num_gpus()}))",
]
MATMUL = [sys.executable, "-m", "arcface_mx.doctor.matmul"]
TIMEOUT = 90.0  # seconds; at its first use, a GPU loads hundreds of megabytes of kernels
TOLERANCE = 1e-2  # of a 1024×1024 product of numbers in [-1, 1]


def gpus() -> List[Finding]:
    """Check the cards of this machine, the build of MXNet and each GPU that MXNet sees."""
    import mxnet as mx

    cards, count, reason = installed_cards(), 0, ""
    remedy = "the CUDA wheels of MXNet 1.9.1 hold no code for it; train on the CPU or on V100, T4, A100, A10, L4"
    findings = [
        judge("card", f"{name}, compute capability {capability}", True if is_supported(capability) else None, remedy)
        for name, capability in cards
    ]
    if mx.runtime.Features().is_enabled("CUDA"):
        answer = run_child(COUNT, TIMEOUT)  # CUDA may abort where the driver does not suit it
        count, reason = answer.get("count", 0), answer.get("failed", "")
    if not mx.runtime.Features().is_enabled("CUDA"):
        note = f"though the machine has {len(cards)} cards" if cards else "and no card was found"
        remedy = TO_GPU if cards else ""
        findings.append(Finding("GPUs", f"this mxnet is a CPU build, {note}", None, remedy))
    elif not count:
        remedy = "check the driver (nvidia-smi) and CUDA_VISIBLE_DEVICES; arcface-mx doctor --gpu says more"
        text = f"this mxnet is a CUDA build, but sees no GPU{reason and f' ({reason})'}"
        findings.append(Finding("GPUs", text, False, remedy))
    return findings + [check_device(f"gpu({number})") for number in range(count)]


def is_supported(capability: str) -> bool:
    """Whether the wheels have code for a compute capability. Code for 8.0 also runs on 8.9, but not on 9.0."""
    try:
        major, minor = (int(part) for part in capability.split("."))
    except ValueError:
        return False
    return any(built[0] == major and built[1] <= minor for built in CAPABILITIES)


def installed_cards() -> List[Tuple[str, str]]:
    """Return name and compute capability of each NVIDIA card, as the driver reports them."""
    command = ["nvidia-smi", "--query-gpu=name,compute_cap", "--format=csv,noheader"]
    try:
        lines = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True).stdout.splitlines()
    except (OSError, subprocess.SubprocessError):
        return [("an NVIDIA card", "unknown") for _ in glob.glob("/proc/driver/nvidia/gpus/*")]
    rows = [line.rpartition(",") for line in lines]
    return [(name.strip(), capability.strip()) for name, _, capability in rows if name]


def check_device(device: str, timeout: float = TIMEOUT, command: Optional[Sequence[str]] = None) -> Finding:
    """Time a matrix product on a device."""
    result = run_matmul(device, timeout, command or MATMUL)
    if "failed" in result:
        return Finding(device, result["failed"], False, "use other devices, or a machine with an older card")
    text = f"1024×1024 product in {1000.0 * result['seconds']:.2f} ms, within {result['error']:.1e} of numpy"
    return judge(device, text, result["error"] < TOLERANCE, "the card computes wrongly: do not train on it")


def run_matmul(device: str, timeout: float = TIMEOUT, command: Sequence[str] = MATMUL) -> Dict[str, Any]:
    """Run `matmul` in a child process, because an old CUDA build can hang on a newer card.

    Returns the child's result, or ``{"failed": reason}``.
    """
    return run_child([*command, device], timeout)
