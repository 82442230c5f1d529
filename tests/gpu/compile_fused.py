"""Compile the CUDA sources below a folder with the real NVRTC: compile_fused.py FOLDER ARCHITECTURE…; prints JSON.

This needs a process of its own, in which `libnvrtc.so.11.2` is NVIDIA's and not the stand-in.
"""

from __future__ import annotations

import ctypes
import glob
import json
import sys


def compile_source(nvrtc, path, architecture):
    """Compile a source as MXNet does, but for another architecture; return the errors, or an empty text."""
    with open(path, "rb") as stream:
        source = stream.read()
    with open(path[: -len(".cu")] + ".options", encoding="ascii") as stream:
        options = [line for line in stream.read().splitlines() if not line.startswith("--gpu-architecture")]
    options = [option.encode() for option in [f"--gpu-architecture=compute_{architecture}", *options]]
    program, size = ctypes.c_void_p(), ctypes.c_size_t()
    assert nvrtc.nvrtcCreateProgram(ctypes.byref(program), source, b"", 0, None, None) == 0
    status = nvrtc.nvrtcCompileProgram(program, len(options), (ctypes.c_char_p * len(options))(*options))
    nvrtc.nvrtcGetProgramLogSize(program, ctypes.byref(size))
    log = ctypes.create_string_buffer(size.value)
    nvrtc.nvrtcGetProgramLog(program, log)
    nvrtc.nvrtcDestroyProgram(ctypes.byref(program))
    return log.value.decode() or f"status {status}" if status else ""


def main(folder, architectures):
    nvrtc, version = ctypes.CDLL("libnvrtc.so.11.2"), (ctypes.c_int(), ctypes.c_int())
    nvrtc.nvrtcVersion(*map(ctypes.byref, version))
    distinct = {open(path, "rb").read(): path for path in sorted(glob.glob(folder + "/**/*.cu", recursive=True))}
    errors = {
        f"{path} compute_{architecture}": error
        for path in distinct.values()
        for architecture in architectures
        for error in [compile_source(nvrtc, path, architecture)]
        if error
    }
    print(json.dumps({"version": [part.value for part in version], "sources": len(distinct), "errors": errors}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
