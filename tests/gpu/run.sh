#!/usr/bin/env bash
# Run the tests of GPU runs on a machine without a GPU: mxnet-cu117 over a CUDA whose kernels do nothing.
#   tests/gpu/run.sh [PYTEST ARGUMENTS]
#   tests/gpu/run.sh --measure [FLAGS]    kernels, waits, copies and bytes of a step (measure_step.py)
# The wheel (509 MB) and what is built lie in the cache folder; the project's environment stays as it is. If pip
# cannot get the wheel, the script says so and ends well. Needs g++, nm, readelf. CXX chooses the compiler.
set -euo pipefail
cd "$(dirname "$0")/../.."
. recipes/lib/setup.sh test
cache=${ARCFACE_MX_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/arcface-mx}/gpu
site=$cache/site lib=$cache/lib source=tests/gpu/fake_cuda.cc
library=$site/mxnet/libmxnet.so

if [ ! -e "$library" ]; then
  rm -rf "$cache" && mkdir -p "$cache"
  # Installed beside the environment, because the wheels for CPU and GPU share the folder mxnet/.
  if ! "$VENV/bin/python" -m pip install --quiet --no-deps --no-compile --target "$site.part" mxnet-cu117==1.9.1; then
    echo "tests/gpu: SKIPPED. pip cannot get mxnet-cu117, so nothing was checked for GPUs." >&2
    exit 0
  fi
  mv "$site.part" "$site"
fi

if [ ! -e "$lib/built" ] || ! cmp -s "$source" "$lib/built"; then
  rm -rf "$lib" && mkdir -p "$lib"
  "${CXX:-g++}" -O1 -Wall -fPIC -c "$source" -o "$lib/fake_cuda.o"
  # A stub that counts its calls and returns 0, for each function that libmxnet.so imports and the source lacks.
  nm -D --undefined-only "$library" | awk '{sub("@.*", "", $2); print $2}' | grep -E '^(cu|nccl|nvrtc|nvtx|__cuda)' |
    sort -u >"$lib/imported"
  nm --defined-only "$lib/fake_cuda.o" | awk '{print $3}' | sort -u >"$lib/defined"
  {
    echo 'extern "C" { void fake_cuda_note(const char*);'
    comm -23 "$lib/imported" "$lib/defined" | sed 's/.*/long &() { fake_cuda_note("&"); return 0; }/'
    echo '}'
  } >"$lib/stubs.cc"
  "${CXX:-g++}" -O1 -fPIC -shared "$lib/stubs.cc" "$lib/fake_cuda.o" -o "$lib/libfakecuda.so"
  for name in $(readelf -d "$library" | sed -n 's/.*NEEDED.*\[\(lib\(cu\|nccl\|nv\)[^]]*\)\].*/\1/p'); do
    ln -s libfakecuda.so "$lib/$name"
  done
  cp "$source" "$lib/built"
fi

export LD_LIBRARY_PATH="$lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}" PYTHONPATH="$site:$PWD"
export ARCFACE_FAKE_CUDA="$lib/libfakecuda.so" FAKE_CUDA_DEVICES=2 OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
# NVIDIA's compiler, for the test that compiles the sources of fused operators. The stand-in takes its place elsewhere.
nvrtc=$cache/nvrtc
if [ ! -d "$nvrtc" ]; then
  rm -rf "$nvrtc.part"
  if "$VENV/bin/python" -m pip install --quiet --no-deps --target "$nvrtc.part" nvidia-cuda-nvrtc-cu11==11.8.89; then
    mv "$nvrtc.part" "$nvrtc"
  else
    echo "tests/gpu: pip cannot get NVRTC 11.8, so the sources of fused operators are not compiled." >&2
  fi
fi
export ARCFACE_NVRTC="$nvrtc/nvidia/cuda_nvrtc/lib"

if [ "${1:-}" = --measure ]; then
  shift
  exec "$VENV/bin/python" tests/gpu/measure_step.py "$@"
fi
exec "$VENV/bin/python" -m pytest tests/gpu "$@"
