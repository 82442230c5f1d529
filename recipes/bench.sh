#!/usr/bin/env bash
# All benchmarks: a table and a JSON file each, recipes/results/bench_*.{md,json}, and bench_growth.png.
#
#   recipes/bench.sh                      everything, in this order
#   recipes/bench.sh head step            some
#   TORCH=/path/python DALI=/path/python  interpreters that have PyTorch or NVIDIA DALI, to compare with
#   DATA=faces                            folder with train.rec, for `input` (default: the recipes' own)
#   MODEL=, PHOTOS=, SET=                 for `int8`: a model, photos to take ranges from, a .bin to verify on
#   ARCFACE_MX=/path/arcface-mx           an installed command, in the place of .venv
#
# On a quiet machine leave OMP_NUM_THREADS away: MXNet's defaults take half of the cores, arcface-mx all. On one
# that others use set it to 1, and read the ratios of processor time. The checkout must be clean, so that the commit
# in the files is what ran; files go to RESULTS when all is done, or when something fails (ANYHOW=1: even so).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
if [ -n "$(git status --porcelain 2>/dev/null)" ] && [ -z "${ANYHOW:-}" ]; then
  echo "bench.sh: files differ from the commit: commit them first (ANYHOW=1 measures all the same, and the figures say so)" >&2
  exit 2
fi
if [ -z "${ARCFACE_MX:-}" ]; then
  . recipes/lib/setup.sh "${EXTRAS:-demo,rendered,plots,export}"
  ARCFACE_MX=$VENV/bin/arcface-mx
fi
RESULTS=${RESULTS:-recipes/results}
DATA=${DATA:-${ARCFACE_MX_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/arcface-mx}/rendered-1000x20-seed0}
WORK=$(mktemp -d)
trap 'find "$WORK" -maxdepth 1 -name "bench_*" -size +0 -exec cp {} "$RESULTS" \; ; rm -rf "$WORK"' EXIT

# measure NAME WHAT ARGUMENTS: one table; what it prints goes into bench_NAME.md.
measure() {
  local name=$1
  shift
  echo "== $name ($(date -u +%H:%M))"
  "$ARCFACE_MX" bench "$@" --json "$WORK/bench_$name.json" >"$WORK/$name.md"
  mv "$WORK/$name.md" "$WORK/bench_$name.md"
  cat "$WORK/bench_$name.md"
}

# Accuracy of a model by each engine: what int8 costs.
int8() {
  local engine
  if [ -z "${MODEL:-}" ] || [ -z "${PHOTOS:-}" ] || [ -z "${SET:-}" ]; then
    echo "int8: left out: name MODEL, PHOTOS and SET" >&2
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

for what in "${@:-input head backbone step embed batch settings verify render start profile growth int8}"; do
  for one in $what; do
    case $one in
      input)
        if [ -f "$DATA/train.rec" ]; then measure input input --data "$DATA" ${DALI:+--dali "$DALI"}
        else echo "input: left out: $DATA has no train.rec; run a recipe first, or name DATA" >&2; fi
        ;;
      head)
        measure head_10572 head --classes 10572
        measure head_85742 head --classes 85742 --repetitions 3
        ;;
      backbone | step | embed)
        for network in recipe iresnet50 mobilefacenet; do
          measure "${one}_$network" "$one" --network "$network" ${TORCH:+--torch "$TORCH"}
        done
        ;;
      batch)
        for network in recipe iresnet50 mobilefacenet; do
          measure "batch_$network" batch --network "$network" --repetitions 3
        done
        ;;
      settings) measure settings_iresnet50 settings --network iresnet50 --repetitions 3 ;;
      profile)
        for network in recipe iresnet50 mobilefacenet; do
          measure "profile_$network" profile --network "$network" --repetitions 3
        done
        ;;
      growth) measure growth growth --repetitions 3 --png "$WORK/bench_growth.png" ;;
      int8) int8 ;;
      *) measure "$one" "$one" ;;
    esac
  done
done
