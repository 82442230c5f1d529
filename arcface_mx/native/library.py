"""Compile the operators of this folder into the cache folder and load them into MXNet.

The operators are optional: without a compiler, a graph of MXNet's own operators computes the same
(`symbols/margin.py`).
"""

from __future__ import annotations

import functools
import glob
import hashlib
import os
import platform
import shutil
import subprocess
from typing import Dict, List, Tuple

from arcface_mx.util.errors import UserError
from arcface_mx.util.files import cache_folder, temporary_directory
from arcface_mx.util.private import make_private, refuse_foreign, remove_unused, touch

HERE = os.path.dirname(os.path.abspath(__file__))
FLAGS = ("-O3", "-march=native", "-std=c++17", "-fopenmp", "-fPIC")


@functools.lru_cache(maxsize=None)
def unavailable() -> str:
    """Load the operators, once; returns why this machine cannot, or an empty string."""
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
    """Return the path of the library, which is compiled unless this machine has compiled it before.

    Compiling takes about 3 s.
    The file name is a hash of the sources, the compiler, the processor and MXNet's version. Raises
    UserError if there is no compiler, or if others may write to the cache folder. Libraries that 30 days
    saw no use of are removed.
    """
    import mxnet as mx

    compiler = shutil.which(os.environ.get("CXX", "g++"))
    if not compiler:
        raise UserError("no C++ compiler (g++) for the native operators; install one, or use --head graph")
    folder = cache_folder()
    path = os.path.join(folder, f"native-{_fingerprint(compiler, mx.__version__)}.so")
    if not os.path.lexists(path):
        make_private(folder)
        remove_unused(folder, "native-")
        _compile(compiler, os.path.dirname(mx.__file__), path)
    refuse_foreign(path)
    touch(path)
    return path


def _compile(compiler: str, mxnet_folder: str, path: str) -> None:
    """Compile the sources side by side and link them; `path` appears when it is complete."""
    sources: Dict[str, Tuple[str, ...]] = {source: FLAGS for source in sorted(glob.glob(os.path.join(HERE, "*.cc")))}
    # MXNet's glue only passes pointers on; without optimisation it compiles in half the time.
    sources[os.path.join(mxnet_folder, "src", "lib_api.cc")] = FLAGS + ("-O0",)
    with temporary_directory("native-compiling-", os.path.dirname(path)) as folder:
        objects = {source: os.path.join(folder, f"{number}.o") for number, source in enumerate(sources)}
        include = "-I" + os.path.join(mxnet_folder, "include")
        _run([[compiler, *flags, include, "-c", source, "-o", objects[source]] for source, flags in sources.items()])
        library = os.path.join(folder, "native.so")
        _run([[compiler, *FLAGS, "-shared", *objects.values(), "-o", library]])
        os.chmod(library, 0o755)
        os.replace(library, path)


def _run(commands: List[List[str]]) -> None:
    """Run compilers at the same time. Raises UserError with the first error."""
    processes = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) for command in commands
    ]
    outputs = [process.communicate()[0] for process in processes]
    for process, text in zip(processes, outputs):
        if process.returncode:
            errors = [line for line in text.splitlines() if "error" in line] or [text.strip()[-200:]]
            raise UserError(f"{commands[0][0]} could not compile the native operators: {errors[0]}")


def _fingerprint(compiler: str, version: str) -> str:
    """Return a hash of everything that the compiled code depends on."""
    digest = hashlib.sha256()
    for path in sorted(glob.glob(os.path.join(HERE, "*.cc")) + glob.glob(os.path.join(HERE, "*.h"))):
        with open(path, "rb") as stream:
            digest.update(stream.read())
    compiler_version = subprocess.run([compiler, "--version"], stdout=subprocess.PIPE, text=True).stdout
    digest.update("\n".join([*FLAGS, compiler_version, version, platform.machine(), _processor()]).encode())
    return digest.hexdigest()[:16]


def _processor() -> str:
    """Return the properties of the processor for which -march=native compiles."""
    with open("/proc/cpuinfo", encoding="utf-8") as stream:
        lines = stream.read().splitlines()
    keys = {"model name", "flags", "Features"}
    return "\n".join(sorted({line for line in lines if line.split(":")[0].strip() in keys}))
