#!/usr/bin/env bash
# All comparisons of recipes/bench/compare.py; each writes recipes/results/bench_NAME.md and .json.
#
#   recipes/bench.sh                      all of them, in this order
#   recipes/bench.sh head step            some of them
#   DATA=faces                            folder with train.rec, for `input` and `step` (default: that of the recipes)
#   MODEL= PHOTOS= SET=                   for `int8`: a model, images to calibrate it, and a .bin to verify on
#   COMPARE=, ARCFACE_MX=                 commands instead of compare.py and arcface-mx in .venv
#
# Each benchmark uses all cores. On a busy machine set OMP_NUM_THREADS=1 and compare processor times.
# The checkout must be clean, so that the commit in the files is what ran (ANYHOW=1 measures anyway; then the
# files say "+"). The files are copied to RESULTS at the end, or when a benchmark fails.
# recipes/bench/ has more: PyTorch and DALI to compare with, operators of a step, the classifier split by class,
# growth.py (time and memory over classes, batch and contexts), search.py (a million entries, beside faiss), folder.py
# (a folder of images, beside its parts) and isa.py (with and without AVX-512).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
if [ -n "$(git status --porcelain 2>/dev/null)" ] && [ -z "${ANYHOW:-}" ]; then
  echo "bench.sh: files differ from the commit; commit them first, or set ANYHOW=1" >&2
  exit 2
fi
if [ -z "${ARCFACE_MX:-}" ]; then
  . recipes/lib/setup.sh "${EXTRAS:-demo,rendered,plots,export}"
  ARCFACE_MX=$VENV/bin/arcface-mx
  COMPARE="$VENV/bin/python recipes/bench/compare.py"
fi
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-$(nproc)}
RESULTS=${RESULTS:-recipes/results}
DATA=${DATA:-${ARCFACE_MX_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/arcface-mx}/rendered-650x16-seed0}
WORK=$(mktemp -d)
trap 'find "$WORK" -maxdepth 1 -name "bench_*" -size +0 -exec cp {} "$RESULTS" \; ; rm -rf "$WORK"' EXIT

# measure NAME ARGUMENTS: one benchmark into bench_NAME.md and bench_NAME.json.
measure() {
  local name=$1
  shift
  echo "== $name ($(date -u +%H:%M))"
  $COMPARE "$@" --json "$WORK/bench_$name.json" >"$WORK/$name.md"
  mv "$WORK/$name.md" "$WORK/bench_$name.md"
  cat "$WORK/bench_$name.md"
}

# Accuracy of a model with each engine: what int8 costs.
int8() {
  local engine
  if [ -z "${MODEL:-}" ] || [ -z "${PHOTOS:-}" ] || [ -z "${SET:-}" ]; then
    echo "int8: left out, because MODEL, PHOTOS or SET is not set" >&2
    return
  fi
  echo "== int8 ($(date -u +%H:%M))"
  {
    echo '```'
    "$ARCFACE_MX" export "$MODEL" --out "$WORK/int8" --int8 --images "$PHOTOS" 2>/dev/null | sed "s|$WORK/||g"
    for engine in mxnet onnx int8; do
      echo "\$ arcface-mx verify int8 $(basename "$SET") --engine $engine"
      "$ARCFACE_MX" verify "$WORK/int8" "$SET" --engine "$engine" --json "$WORK/bench_int8_$engine.json" | sed "s|$WORK/||g"
      sed -i "s|$WORK/||g" "$WORK/bench_int8_$engine.json"
    done
    echo '```'
    echo
    echo "\`MODEL=$(basename "$MODEL") PHOTOS=$(basename "$PHOTOS") SET=$(basename "$SET") recipes/bench.sh int8\`"
    echo "Commit $(git rev-parse --short HEAD)$([ -z "$(git status --porcelain)" ] || echo +), $(date -u '+%Y-%m-%d %H:%M UTC')."
  } >"$WORK/int8.md"
  mv "$WORK/int8.md" "$WORK/bench_int8.md"
  cat "$WORK/bench_int8.md"
}

needs_data() {
  [ -f "$DATA/train.rec" ] || { echo "$1: left out, because $DATA has no train.rec; run a recipe first, or set DATA" >&2; false; }
}

for name in "${@:-input head step embed verify int8}"; do
  for what in $name; do
    case $what in
      input)
        if needs_data input; then measure input input --data "$DATA"; fi
        ;;
      head)
        measure head_10572 head --classes 10572
        measure head_85742 head --classes 85742 --repetitions 3
        ;;
      step)
        for network in recipe iresnet50 mobilefacenet; do
          if needs_data step; then measure "step_$network" step --network "$network" --data "$DATA"; fi
        done
        ;;
      embed)
        for network in recipe iresnet50 mobilefacenet; do measure "embed_$network" embed --network "$network"; done
        ;;
      int8) int8 ;;
      *) measure "$what" "$what" ;;
    esac
  done
done
