"""`import mxnet` after `import arcface_mx`: what is missing is named, and CUDA's libraries are loaded first."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from arcface_mx.util import cuda, mxnet_import, system_libraries
from arcface_mx.util.mxnet_import import MXNetFinder, MXNetMissing, explain

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def test_the_finder_is_installed_once_and_leaves_imports_to_python():
    mxnet_import.prepare_import()
    assert sys.meta_path.count(MXNetFinder) == 1
    assert MXNetFinder.find_spec("mxnet") is None and MXNetFinder.find_spec("no_such_module") is None


@pytest.mark.parametrize("origin", [None, ""])
def test_a_missing_mxnet_is_an_import_error_with_both_remedies(monkeypatch, origin):
    """The folder mxnet/ that an uninstalled wheel may leave behind is a package without an origin."""
    found = None if origin is None else SimpleNamespace(origin=None)
    monkeypatch.setattr(mxnet_import, "PathFinder", SimpleNamespace(find_spec=lambda name: found))
    monkeypatch.delitem(sys.modules, "mxnet", raising=False)
    with pytest.raises(ImportError, match=r"'arcface-mx\[cpu\]'.* or .*'arcface-mx\[gpu\]'"):
        import mxnet  # noqa: F401


def test_the_command_line_says_it_in_one_line():
    """In a process of its own: here other tests have imported MXNet."""
    code = """if True:
        import sys
        from types import SimpleNamespace
        from arcface_mx.cli import main
        from arcface_mx.util import mxnet_import
        mxnet_import.PathFinder = SimpleNamespace(find_spec=lambda name: None)
        sys.exit(main(["plan", "--classes", "10"]))"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    shown = done.stderr
    assert done.returncode == 2
    assert shown.startswith("arcface-mx: error: MXNet is not installed in ") and shown.count("\n") == 1


@pytest.mark.parametrize("module, version", [(np, "2.1.0"), (sys, (3, 14))])
def test_what_mxnet_cannot_work_with_is_named(monkeypatch, module, version):
    name = "__version__" if module is np else "version_info"
    monkeypatch.setattr(module, name, version)
    with pytest.raises(MXNetMissing, match="numpy < 2 because .* this is numpy 2.1.0|Python 3.8 to 3.13; this is 3.14"):
        MXNetFinder.find_spec("mxnet")


@pytest.mark.parametrize("has_gpu_build", [True, False])
def test_only_the_gpu_build_gets_the_cuda_libraries(tmp_path, monkeypatch, has_gpu_build):
    (tmp_path / ("mxnet_cu117-1.9.1.dist-info" if has_gpu_build else "mxnet-1.9.1.dist-info")).mkdir()
    spec = SimpleNamespace(origin=str(tmp_path / "mxnet" / "__init__.py"))
    calls = []
    monkeypatch.setattr(mxnet_import, "PathFinder", SimpleNamespace(find_spec=lambda name: spec))
    monkeypatch.setattr(mxnet_import, "preload_libraries", lambda: calls.append(1))
    MXNetFinder.find_spec("mxnet")
    assert len(calls) == has_gpu_build


def test_libraries_are_loaded_for_all_in_order_unless_the_search_path_has_them(tmp_path, monkeypatch):
    site, named, loaded = tmp_path / "nvidia", tmp_path / "named", []
    for library, folder in cuda.LIBRARIES.items():
        if folder != "nccl":
            (site / folder / "lib").mkdir(parents=True, exist_ok=True)
            (site / folder / "lib" / library).touch()
    named.mkdir()
    (named / "libcufft.so.10").touch()
    monkeypatch.setenv("LD_LIBRARY_PATH", f":{named}")
    spec = SimpleNamespace(submodule_search_locations=[str(tmp_path / "none"), str(site)])
    monkeypatch.setattr(cuda.importlib.util, "find_spec", lambda name: spec if name == "nvidia" else None)
    monkeypatch.setattr(cuda.ctypes, "CDLL", lambda path, mode: loaded.append((path, mode)))
    paths = cuda.preload_libraries.__wrapped__()
    names = [os.path.basename(path) for path in paths]
    assert names == [name for name in cuda.LIBRARIES if name not in ("libnccl.so.2", "libcufft.so.10")]
    assert loaded == [(path, cuda.ctypes.RTLD_GLOBAL) for path in paths]
    # cuBLAS needs cuBLASLt, and cuDNN comes after what it opens by name.
    assert names.index("libcublasLt.so.11") < names.index("libcublas.so.11") < names.index("libcudnn.so.8")


def test_the_gpu_extra_installs_every_library():
    with open(os.path.join(ROOT, "setup.py"), encoding="utf-8") as stream:
        setup = stream.read()
    assert set(re.findall(r"nvidia-[a-z0-9-]+-cu11", setup)) == {cuda.wheel_of(name) for name in cuda.LIBRARIES}
    required = setup[setup.index("install_requires") : setup.index("extras_require")]
    assert "mxnet==" not in required and "mxnet-cu" not in required  # the builds share the folder mxnet/


@pytest.mark.parametrize(
    "message, words",
    [
        ("libgomp.so.1: cannot open shared object file: No such file or directory", "apt-get install -y libgomp1 "),
        ("libGL.so.1: cannot open shared object file: No such file or directory", "dnf install -y libglvnd-glx"),
        ("libcuda.so.1: cannot open shared object file: No such file", "NVIDIA's driver is not installed"),
        ("/x/libmxnet.so: libcufft.so.10: cannot open shared object file: No such file", "nvidia-cufft-cu11"),
        ("libabc.so.3: cannot open shared object file", "the system lacks libabc.so.3"),
        ("No space left on device", None),
    ],
)
def test_a_message_of_the_loader_is_explained(message, words):
    assert explain(OSError(message)) is None if words is None else words in explain(ImportError(message))


def test_missing_system_libraries_are_named_with_one_command(monkeypatch):
    def load(name):
        if name in ("libgomp.so.1", "libGL.so.1"):
            raise OSError(name)

    monkeypatch.setattr(system_libraries.ctypes, "CDLL", load)
    monkeypatch.setattr(system_libraries.platform, "system", lambda: "Linux")
    missing = system_libraries.missing_libraries()
    assert missing == ["libgomp.so.1", "libGL.so.1"]
    assert system_libraries.install_command(missing) == (
        "apt-get install -y libgomp1 libgl1   (Fedora, RHEL: dnf install -y libgomp libglvnd-glx)"
    )


def test_the_list_of_system_libraries_needs_no_package():
    """The set-up script runs it before anything is installed."""
    path = system_libraries.__file__
    done = subprocess.run([sys.executable, "-S", "-I", path], capture_output=True, text=True)
    assert done.returncode == (1 if system_libraries.missing_libraries() else 0) and "Traceback" not in done.stderr
