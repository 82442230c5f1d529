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
from typing import Dict, List, Tuple

from arcface_mx.util.errors import UserError
from arcface_mx.util.files import cache_folder

HERE = os.path.dirname(os.path.abspath(__file__))
FLAGS = ("-O3", "-march=native", "-std=c++17", "-fopenmp", "-fPIC")


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
        return f"the compiled operators do not load: {str(error).strip().splitlines()[-1]}"
    return ""


def build() -> str:
    """Path of the compiled library, compiling it where this machine has not done so before (3 s).

    Its name is a hash of sources, compiler, processor and MXNet. Raises UserError without a compiler.
    """
    import mxnet as mx

    compiler = shutil.which(os.environ.get("CXX", "g++"))
    if not compiler:
        raise UserError("no C++ compiler (g++) for the native operators; install one, or use --head graph")
    path = os.path.join(cache_folder(), f"native-{_fingerprint(compiler, mx.__version__)}.so")
    if not os.path.exists(path):
        _compile(compiler, os.path.dirname(mx.__file__), path)
    return path


def _compile(compiler: str, engine: str, path: str) -> None:
    """All sources at the same time, then the library, which takes its name when it is whole."""
    # MXNet's glue only hands pointers on; without optimisation it compiles in half of the time.
    sources: Dict[str, Tuple[str, ...]] = {source: FLAGS for source in sorted(glob.glob(os.path.join(HERE, "*.cc")))}
    sources[os.path.join(engine, "src", "lib_api.cc")] = FLAGS + ("-O0",)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with tempfile.TemporaryDirectory(dir=os.path.dirname(path)) as folder:
        objects = {source: os.path.join(folder, f"{number}.o") for number, source in enumerate(sources)}
        include = "-I" + os.path.join(engine, "include")
        _run([[compiler, *flags, include, "-c", source, "-o", objects[source]] for source, flags in sources.items()])
        made = os.path.join(folder, "native.so")
        _run([[compiler, *FLAGS, "-shared", *objects.values(), "-o", made]])
        os.replace(made, path)


def _run(commands: List[List[str]]) -> None:
    """Run compilers side by side. Raises UserError with the first error."""
    running = [
        subprocess.Popen(one, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True)
        for one in commands
    ]
    printed = [process.communicate()[0] for process in running]
    for process, text in zip(running, printed):
        if process.returncode:
            errors = [line for line in text.splitlines() if "error" in line] or [text.strip()[-200:]]
            raise UserError(f"{commands[0][0]} could not compile the native operators: {errors[0]}")


def _fingerprint(compiler: str, version: str) -> str:
    """A hash of all that the compiled code depends on."""
    digest = hashlib.sha256()
    for path in sorted(glob.glob(os.path.join(HERE, "*.cc")) + glob.glob(os.path.join(HERE, "*.h"))):
        with open(path, "rb") as stream:
            digest.update(stream.read())
    described = subprocess.run([compiler, "--version"], stdout=subprocess.PIPE, text=True).stdout
    digest.update("\n".join([*FLAGS, described, version, platform.machine(), _processor()]).encode())
    return digest.hexdigest()[:16]


def _processor() -> str:
    """What -march=native looks at."""
    with open("/proc/cpuinfo", encoding="utf-8") as stream:
        lines = stream.read().splitlines()
    return "\n".join(
        sorted({line for line in lines if line.split(":")[0].strip() in ("model name", "flags", "Features")})
    )
