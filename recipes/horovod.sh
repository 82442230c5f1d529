#!/usr/bin/env bash
# Builds Horovod 0.28.1 for `arcface-mx launch --engine horovod`, in the Python that PYTHON names (default: python3).
#   recipes/horovod.sh [PIP ARGUMENTS]         for CPUs, with Gloo
#   recipes/horovod.sh --gpu [PIP ARGUMENTS]   for GPUs too, with NCCL. Nobody has run this form yet.
# It needs g++, cmake, and in that Python mxnet, setuptools and wheel. The build takes 5 minutes on a free core and
# 20 on a busy one. --gpu also needs nvcc of CUDA 11 on PATH or under CUDA_HOME, mxnet-cu117 or another GPU build, and
# NCCL: the wheel nvidia-nccl-cu11, a system's package, or a folder that HOROVOD_NCCL_HOME names.
set -euo pipefail
PYTHON=${PYTHON:-python3}
stop() {
  echo "horovod.sh: $1" >&2
  exit 2
}
HELP=$(mktemp -d)
trap 'rm -rf "$HELP"' EXIT
GPU=
if [ "${1:-}" = --gpu ]; then
  GPU=1
  shift
  nvcc=$(command -v "${CUDA_HOME:+$CUDA_HOME/bin/}nvcc") ||
    stop "nvcc is missing: install the CUDA toolkit 11, and set CUDA_HOME to its folder"
  "$nvcc" --version | grep -q 'release 11\.' ||
    stop "$nvcc is not of CUDA 11, for which MXNet's GPU build is made: set CUDA_HOME to a toolkit 11"
  toolkit=${CUDA_HOME:-$(dirname "$(dirname "$(readlink -f "$nvcc")")")}
  wheel=$("$PYTHON" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/nvidia/nccl
  NCCL=
  for home in ${HOROVOD_NCCL_HOME:+"$HOROVOD_NCCL_HOME"} "$wheel" /usr /usr/local "$toolkit"; do
    if [ -z "$NCCL" ] && [ -e "$home/include/nccl.h" ]; then NCCL=$home; fi
  done
  [ -n "$NCCL" ] || stop "NCCL is missing: pip install nvidia-nccl-cu11, or set HOROVOD_NCCL_HOME to its folder"
fi
for program in g++ cmake; do
  command -v "$program" > /dev/null || stop "$program is missing"
done
# Horovod's build imports mxnet, which reads np.bool. numpy 1.24 removed that name, and the build then fails
# with "Could NOT find Mxnet".
printf 'import numpy\nnumpy.__dict__.get("bool") or setattr(numpy, "bool", bool)\n' > "$HELP/sitecustomize.py"
export PYTHONPATH=$HELP${PYTHONPATH:+:$PYTHONPATH} PATH=$(dirname "$(command -v "$PYTHON")"):$PATH
export HOROVOD_WITH_MXNET=1 HOROVOD_WITH_GLOO=1 HOROVOD_WITHOUT_MPI=1 HOROVOD_WITHOUT_PYTORCH=1 HOROVOD_WITHOUT_TENSORFLOW=1
if [ -n "$GPU" ]; then
  "$PYTHON" -c 'import mxnet, sys; sys.exit(not mxnet.runtime.Features().is_enabled("CUDA"))' ||
    stop "$PYTHON has no working GPU build of MXNet: pip uninstall -y mxnet && pip install mxnet-cu117==1.9.1"
  if [ "$NCCL" = "$wheel" ]; then
    # The linker looks for libnccl.so, and the wheel has libnccl.so.2 only.
    mkdir -p "$HELP/nccl/lib"
    ln -s "$wheel/include" "$HELP/nccl/include"
    ln -s "$wheel"/lib/libnccl.so.* "$HELP/nccl/lib/libnccl.so"
    NCCL=$HELP/nccl
  fi
  export HOROVOD_GPU_OPERATIONS=NCCL HOROVOD_NCCL_LINK=SHARED HOROVOD_NCCL_HOME=$NCCL HOROVOD_CUDA_HOME=$toolkit
fi
"$PYTHON" -m pip install --no-build-isolation "$@" horovod==0.28.1
