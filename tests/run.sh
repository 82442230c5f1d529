#!/usr/bin/env bash
# Set up the environment and run the tests, from a fresh clone.
#   tests/run.sh                    all tests
#   tests/run.sh --fast             all but the tests that are marked as slow
#   tests/run.sh tests/symbols -x   other arguments go to pytest
# PYTHON chooses the interpreter (3.8 to 3.13), VENV the virtual environment (default .venv).
set -euo pipefail
cd "$(dirname "$0")/.."
. recipes/lib/setup.sh test
arguments=()
for argument in "$@"; do
  if [ "$argument" = --fast ]; then arguments+=(-m "not slow"); else arguments+=("$argument"); fi
done
exec "$VENV/bin/python" -m pytest ${arguments[@]+"${arguments[@]}"}
