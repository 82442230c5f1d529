#!/usr/bin/env bash
# Set up the environment and run the tests, from a fresh clone.
#   tests/run.sh                    all tests, on up to four cores
#   tests/run.sh --fast             all but the tests that are marked as slow
#   tests/run.sh tests/symbols -x   arguments for pytest: these tests, in one process
# PYTHON chooses the interpreter (3.8 to 3.13), VENV the virtual environment (default .venv).
set -euo pipefail
cd "$(dirname "$0")/.."
. recipes/lib/setup.sh test
# A file's tests share one process, so that what they prepare is prepared once. With a process on each core,
# more threads would only wait for one another.
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
parallel=(-n auto --maxprocesses 4 --dist loadfile)
case "$*" in
  "") arguments=("${parallel[@]}") ;;
  --fast) arguments=("${parallel[@]}" -m "not slow") ;;
  *) exec "$VENV/bin/python" -m pytest "$@" ;;
esac
exec "$VENV/bin/python" -m pytest "${arguments[@]}"
