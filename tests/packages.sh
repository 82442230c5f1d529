#!/usr/bin/env bash
# Build wheel and sdist, install each into an empty environment and run the smoke test there.
#   tests/packages.sh python3.8 python3.11 …     interpreters; each takes a minute or two and 1.6 GB of disk
#   FORMS="wheel" tests/packages.sh python3.11   one form only (default: "wheel sdist")
# Python 3.13 compiles numpy: 10 to 20 minutes. Environments are removed again.
set -euo pipefail
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
builder=${1:?name interpreters, for example python3.11}
"$builder" -m venv "$work/build"
"$work/build/bin/python" -m pip install --quiet --disable-pip-version-check build
mkdir "$work/source"
git ls-files -z | xargs -0 cp --no-dereference --parents -t "$work/source"
"$work/build/bin/python" -m build --outdir "$work/dist" "$work/source" >"$work/build.log" 2>&1 || { tail -20 "$work/build.log"; exit 1; }
(cd "$work/dist" && ls -l)
for python in "$@"; do
  for form in ${FORMS:-wheel sdist}; do
    case $form in wheel) file=$(echo "$work"/dist/*.whl) ;; sdist) file=$(echo "$work"/dist/*.tar.gz) ;; esac
    "$python" -m venv "$work/env"
    "$work/env/bin/python" -m pip install --quiet --disable-pip-version-check "$file"
    mkdir "$work/empty"
    (cd "$work/empty" && "$work/env/bin/python" "$OLDPWD/tests/support/smoke.py" >"$work/smoke.log" 2>&1) || { tail -20 "$work/smoke.log"; exit 1; }
    echo "$form: $(tail -1 "$work/smoke.log" | sed "s|$work/||")"
    (cd "$work/empty" && "$work/env/bin/arcface-mx" --version >/dev/null)
    rm -rf "$work/env" "$work/empty"
  done
done
