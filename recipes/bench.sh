#!/usr/bin/env bash
# All benchmarks: a table and a JSON file each, recipes/results/bench_*.{md,json}, and bench_growth.png.
# About half an hour on 2 idle cores.
#
#   recipes/bench.sh                      everything
#   recipes/bench.sh head step            some
#   TORCH=/path/python DALI=/path/python  interpreters that have PyTorch or NVIDIA DALI, to compare with
#   DATA=faces                            folder with train.rec, for `input` (default: the recipes' own)
#
# OMP_NUM_THREADS=1 on a machine that others use: ratios of processor time are then little disturbed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. recipes/setup.sh "${EXTRAS:-demo,rendered,plots,export}"
RESULTS=${RESULTS:-recipes/results}
DATA=${DATA:-${ARCFACE_MX_CACHE:-$HOME/.cache/arcface-mx}/rendered-1000x20-seed0}

# measure NAME WHAT ARGUMENTS: one table; what it prints goes into bench_NAME.md.
measure() {
  local name=$1
  shift
  "$VENV/bin/arcface-mx" bench "$@" --json "$RESULTS/bench_$name.json" >"$RESULTS/bench_$name.md"
  cat "$RESULTS/bench_$name.md"
}

for what in "${@:-input head backbone step embed verify render start profile growth}"; do
  for one in $what; do
    case $one in
      input) measure input input --data "$DATA" ${DALI:+--dali "$DALI"} ;;
      head)
        measure head_10572 head --classes 10572
        measure head_85742 head --classes 85742 --repetitions 3
        ;;
      backbone | step | embed)
        for network in recipe iresnet50 mobilefacenet; do
          measure "${one}_$network" "$one" --network "$network" --repetitions 3 ${TORCH:+--torch "$TORCH"}
        done
        ;;
      profile)
        for network in recipe iresnet50 mobilefacenet; do
          measure "profile_$network" profile --network "$network" --repetitions 3
        done
        ;;
      growth) measure growth growth --repetitions 2 --png "$RESULTS/bench_growth.png" ;;
      *) measure "$one" "$one" ;;
    esac
  done
done
