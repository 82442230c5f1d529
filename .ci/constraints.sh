#!/usr/bin/env bash
# Write recipes/lib/constraints.txt: every package that an installation needs, with one version and its hashes for each
# version of Python. Needs uv (pip install uv). Run it after a change of setup.py, and from time to time for repairs.
set -euo pipefail
cd "$(dirname "$0")/.."
extras=()
for name in demo detect rendered plots export tensorboard completion test; do extras+=(--extra "$name"); done
{
  echo "# Written by .ci/constraints.sh. For an installation of exactly these files:"
  echo "#   pip install --require-hashes -r recipes/lib/constraints.txt && pip install --no-deps -e ."
  "${UV:-uv}" pip compile setup.py "${extras[@]}" --universal --python-version 3.8 --generate-hashes --no-header \
    --no-annotate --quiet
} > recipes/lib/constraints.txt.new
mv recipes/lib/constraints.txt.new recipes/lib/constraints.txt
