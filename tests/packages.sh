#!/usr/bin/env bash
# Build the wheel and the sdist, install each form into an empty environment, and run the smoke test there, in an
# empty folder: builders, training, a recipe, and the commands that read its run.
#   tests/packages.sh python3.8 python3.11 …     a form of an interpreter takes a minute or two and 1.6 GB of disk
#   FORMS="wheel" tests/packages.sh python3.11   only some forms (default: "wheel sdist editable")
# On Python 3.13 pip compiles numpy, which takes 10 to 20 minutes. The environments are removed afterwards.
set -euo pipefail
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
smoke_test=$PWD/tests/support/smoke.py
builder=${1:?name interpreters, for example python3.11}
"$builder" -m venv "$work/build"
"$work/build/bin/python" -m pip install --quiet --disable-pip-version-check build
mkdir "$work/source"
git ls-files -z | xargs -0 cp --no-dereference --parents -t "$work/source"
"$work/build/bin/python" -m build --outdir "$work/dist" "$work/source" >"$work/build.log" 2>&1 || { tail -20 "$work/build.log"; exit 1; }
(cd "$work/dist" && ls -l)
for python in "$@"; do
  for form in ${FORMS:-wheel sdist editable}; do
    case $form in
      wheel) package=("$(echo "$work"/dist/*.whl)[cpu]") ;;
      sdist) package=("$(echo "$work"/dist/*.tar.gz)[cpu]") ;;
      editable) package=(--editable "$work/source[cpu]") ;;
    esac
    "$python" -m venv "$work/env"
    "$work/env/bin/python" -m pip install --quiet --disable-pip-version-check "${package[@]}"
    mkdir "$work/empty"
    (cd "$work/empty" && "$work/env/bin/python" "$smoke_test" >"$work/smoke.log" 2>&1) || { tail -20 "$work/smoke.log"; exit 1; }
    echo "$form: $(tail -1 "$work/smoke.log" | sed "s|$work/||")"
    (cd "$work/empty" && "$work/env/bin/arcface-mx" --version >/dev/null && "$work/env/bin/arcface-mx" --help >/dev/null)
    rm -rf "$work/env" "$work/empty"
  done
done
