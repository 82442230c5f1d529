"""Compile the operators of this folder with g++, keep the library in the cache folder, load it into MXNet.

Nothing depends on it: where there is no compiler, the graph of MXNet's own operators computes the
same (`symbols/margin.py`).
"""

from __future__ import annotations

import functools
import glob
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from typing import List

from arcface_mx.errors import UserError

HERE = os.path.dirname(os.path.abspath(__file__))
FLAGS = ("-O3", "-march=native", "-std=c++17", "-fopenmp", "-fPIC", "-shared")


@functools.lru_cache(maxsize=None)
def unavailable() -> str:
    """Load the operators, once; returns "" or why they cannot be had here."""
    if platform.system() != "Linux":
        return "native operators are built on Linux only"
    import mxnet as mx

    try:
        mx.library.load(build(), verbose=False)
    except UserError as error:
        return str(error)
    except (mx.base.MXNetError, OSError) as error:
        return "the compiled operators do not load: %s" % str(error).strip().splitlines()[-1]
    return ""


def build() -> str:
    """Path of the compiled library, compiling it where this machine has not done so before (10 s).

    Its name is a hash of sources, compiler, processor and MXNet. Raises UserError without a compiler.
    """
    import mxnet as mx

    compiler = shutil.which(os.environ.get("CXX", "g++"))
    if not compiler:
        raise UserError("no C++ compiler (g++) for the native operators; install one, or use --head graph")
    engine = os.path.dirname(mx.__file__)
    sources = sorted(glob.glob(os.path.join(HERE, "*.cc"))) + [os.path.join(engine, "src", "lib_api.cc")]
    command = [compiler, *FLAGS, "-I" + os.path.join(engine, "include"), *sources]
    path = os.path.join(_cache_folder(), "native-%s.so" % _fingerprint(command, mx.__version__))
    if not os.path.exists(path):
        _compile(command, path)
    return path


def _compile(command: List[str], path: str) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with tempfile.TemporaryDirectory(dir=os.path.dirname(path)) as folder:
        made = os.path.join(folder, "native.so")
        done = subprocess.run([*command, "-o", made], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True)
        if done.returncode:
            errors = [line for line in done.stdout.splitlines() if "error" in line] or [done.stdout.strip()[-200:]]
            raise UserError("%s could not compile the native operators: %s" % (command[0], errors[0]))
        os.replace(made, path)


def _fingerprint(command: List[str], version: str) -> str:
    """A hash of all that the compiled code depends on."""
    digest = hashlib.sha256()
    for path in sorted(glob.glob(os.path.join(HERE, "*.cc")) + glob.glob(os.path.join(HERE, "*.h"))):
        with open(path, "rb") as stream:
            digest.update(stream.read())
    compiler = subprocess.run([command[0], "--version"], stdout=subprocess.PIPE, universal_newlines=True).stdout
    digest.update("\n".join([*FLAGS, compiler, version, platform.machine(), _processor()]).encode())
    return digest.hexdigest()[:16]


def _processor() -> str:
    """What -march=native looks at."""
    with open("/proc/cpuinfo", encoding="utf-8") as stream:
        lines = stream.read().splitlines()
    return "\n".join(sorted({line for line in lines if line.split(":")[0].strip() in ("model name", "flags", "Features")}))


def _cache_folder() -> str:
    named = os.environ.get("ARCFACE_MX_CACHE")
    return named or os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "arcface-mx")
