#!/usr/bin/env bash
# The whole table: trains every row with every seed, then writes Markdown, CSV and a picture. Finished runs
# are not repeated, and interrupted runs continue.
#
#   recipes/table.sh                                       all rows, seeds 0 1 2, the default data
#   recipes/table.sh --rows 'softmax arcface_m0.50' --seeds '0 1'
#   DATA=/data/faces_webface_112x112 recipes/table.sh --jobs 1 -- --devices 'gpu(0),gpu(1)'
#   DATA=faces EVAL='lfw.bin cfp_fp.bin' BUDGET=photographs recipes/table.sh --seeds '0 1' --jobs 1
#
# It may be stopped at any time: the same command continues.
#
# --rows    names of recipes; "paper" (default) for the paper's twenty rows, "all" for every recipe
# --seeds   seeds (default: 0 1 2)
# --data    the same as DATA=; EVAL= chooses the verification sets
# --jobs    number of runs at a time, each on one thread (default: number of cores); 1 gives a run all cores.
#           OMP_NUM_THREADS gives another number of threads, on which the last digits of a table depend
# --out     folder for runs and tables (default: runs/table-DATA)
# --slim    folder for the tables and for each finished run's configuration, environment, metrics and scores, which
#           are kept when the runs are deleted. Runs in this folder count as finished.
# --        flags of `arcface-mx train` for every run
set -euo pipefail

ROWS=paper SEEDS="0 1 2" JOBS=$(nproc 2>/dev/null || getconf _NPROCESSORS_ONLN) OUT= SLIM=
while [ $# -gt 0 ]; do
  case $1 in
    --rows) ROWS=$2 ;; --seeds) SEEDS=$2 ;; --data) export DATA=$2 ;; --jobs) JOBS=$2 ;; --out) OUT=$2 ;; --slim) SLIM=$2 ;;
    --) shift; break ;;
    *) echo "table.sh: unknown argument $1; it takes --rows, --seeds, --data, --jobs, --out, --slim, and -- flags of train" >&2; exit 2 ;;
  esac
  shift 2 || { echo "table.sh: $1 needs a value" >&2; exit 2; }
done
RECIPES=$(cd "$(dirname "$0")" && pwd)
names=$(awk -F, -v which="$ROWS" 'NR > 1 {
  line = $0; match(line, /[a-z0-9_.]+\.sh/); name = substr(line, RSTART, RLENGTH - 3)
  if (which == "all" || line ~ /,ArcFace,[^,]*,[^,]*,[^,]*,[^,]*$/) print name }' "$RECIPES/paper.csv")
case $ROWS in paper | all) ;; *) names=$ROWS ;; esac

runs=()
for seed in $SEEDS; do
  for name in $names; do
    if [ ! -e "$RECIPES/$name.sh" ]; then
      near=$(cd "$RECIPES" && ls -- "${name:0:4}"*.sh 2>/dev/null | tr '\n' ' ' || true)
      echo "table.sh: no recipe recipes/$name.sh; ${near:+near it: }${near:-recipes/README.md lists them}" >&2
      exit 2
    fi
    runs+=("$name-seed$seed")
  done
done

. "$RECIPES/lib/common.sh"
OUT=${OUT:-runs/table-$(basename "$DATA")}
mkdir -p "$OUT/logs" ${SLIM:+"$SLIM/runs"}

# one NAME-seedS FLAGS…: one run; its output goes to a file of its own.
one() {
  local run=$1 name=${1%-seed*} seed=${1##*-seed}
  shift
  if [ -n "$SLIM" ] && [ -e "$SLIM/runs/$run/metrics.json" ]; then return; fi
  if ! JUST_TRAIN=yes RUN="$OUT/$run" SEED=$seed bash "$RECIPES/$name.sh" "$@" >"$OUT/logs/$run.txt" 2>&1; then
    echo "$run failed: $(tail -n 1 "$OUT/logs/$run.txt")" >&2
    return 1
  fi
  if [ -n "$SLIM" ]; then
    mkdir -p "$SLIM/runs/$run.part"
    cp "$OUT/$run"/{config,environment,metrics}.json "$SLIM/runs/$run.part"
    for file in templates.json scores.npz; do
      if [ -e "$OUT/$run/$file" ]; then cp "$OUT/$run/$file" "$SLIM/runs/$run.part"; fi
    done
    mv "$SLIM/runs/$run.part" "$SLIM/runs/$run"
  fi
  echo "$(date +%H:%M) $run done"
}
export -f one
export OUT SLIM RECIPES
# The number of threads is stated and not measured, so that the same command gives the same table.
if [ "$JOBS" -gt 1 ]; then threads=1; else threads=$(nproc 2>/dev/null || getconf _NPROCESSORS_ONLN); fi
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-$threads}
failed=0
printf '%s\n' "${runs[@]}" | xargs -P "$JOBS" -I RUN bash -c 'one "$@"' one RUN "$@" || failed=1

done_runs=()
for run in "${runs[@]}"; do
  for folder in "$OUT/$run" ${SLIM:+"$SLIM/runs/$run"}; do
    if [ -e "$folder/metrics.json" ]; then done_runs+=("$folder"); break; fi
  done
done
if [ ${#done_runs[@]} -eq 0 ]; then echo "table.sh: no run finished" >&2; exit 1; fi
to=${SLIM:-$OUT}
baselines "${done_runs[0]}"
if [ -n "$SLIM" ] && [ -d "$SLIM/runs/${runs[0]}" ]; then cp -n "${done_runs[0]}/baselines.json" "$SLIM/runs/${runs[0]}/"; fi
arcface table "${done_runs[@]}" --all-rows --markdown "$to/table.md" --csv "$to/table.csv" --png "$to/table.png" --json "$to/table.json"
arcface table "${done_runs[@]}" --flip sum --markdown "$to/table_flip.md" >/dev/null 2>&1
arcface table "${done_runs[@]}" --tar 0.001 --markdown "$to/table_tar.md" >/dev/null 2>&1
exit $failed
