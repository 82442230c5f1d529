#!/usr/bin/env bash
# Builds Horovod 0.28.1 with Gloo for `arcface-mx launch --engine horovod`, in the Python that PYTHON names
# (default: python3). It needs g++, cmake, and in that Python mxnet, setuptools and wheel. The build takes 5
# minutes on a free core and 20 on a busy one.
set -euo pipefail
PYTHON=${PYTHON:-python3}
for program in g++ cmake; do
  command -v "$program" > /dev/null || { echo "horovod.sh: $program is missing" >&2; exit 2; }
done
# Horovod's build imports mxnet, which reads np.bool. numpy 1.24 removed that name, and the build then fails
# with "Could NOT find Mxnet".
HELP=$(mktemp -d)
trap 'rm -rf "$HELP"' EXIT
printf 'import numpy\nnumpy.__dict__.get("bool") or setattr(numpy, "bool", bool)\n' > "$HELP/sitecustomize.py"
export PYTHONPATH=$HELP${PYTHONPATH:+:$PYTHONPATH} PATH=$(dirname "$(command -v "$PYTHON")"):$PATH
export HOROVOD_WITH_MXNET=1 HOROVOD_WITH_GLOO=1 HOROVOD_WITHOUT_MPI=1 HOROVOD_WITHOUT_PYTORCH=1 HOROVOD_WITHOUT_TENSORFLOW=1
"$PYTHON" -m pip install --no-build-isolation "$@" horovod==0.28.1
