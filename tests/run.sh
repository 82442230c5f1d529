#!/usr/bin/env bash
# Set-up and tests in one command, from a fresh clone. PYTHON chooses the interpreter (3.8 to 3.13),
# VENV the virtual environment (default .venv). Arguments go to pytest.
set -euo pipefail
cd "$(dirname "$0")/.."
. recipes/lib/setup.sh test
exec "$VENV/bin/python" -m pytest "$@"
