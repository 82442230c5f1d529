# Sourced by every recipe: what all rows of the table share. A recipe adds only the flags of its row.
#
#   recipes/NAME.sh                                    the default data, which is made on this machine once
#   DATA=/data/faces_webface_112x112 recipes/NAME.sh   the paper's settings on CASIA-WebFace
#   recipes/NAME.sh --seed 1 --devices 'gpu(0)'        any flag of `arcface-mx train` overrides
#   recipes/NAME.sh --print-config                     prints the configuration; nothing is installed or made
#   arcface-mx recipe NAME …                           the same with an installed arcface-mx, in any folder
#
# Environment variables:
#   DATA          a folder in InsightFace's layout
#   EVAL          verification sets (default: all .bin files of DATA)
#   BUDGET        a preset of arcface_mx/presets.py: paper, laptop or photographs (default: paper with DATA,
#                 else laptop)
#   STEPS         steps of every budget but the paper's, 1 or more
#   RUN, SEED     run folder and seed
#   MXNET, PYTHON, VENV  see setup.sh
# `arcface-mx recipe` sets ARCFACE_MX_PYTHON, the interpreter that has arcface-mx. Nothing is installed then.
set -euo pipefail
RECIPES=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
PRINT_CONFIG=
for word in "$@"; do if [ "$word" = --print-config ]; then PRINT_CONFIG=yes; fi; done
if [ -z "${ARCFACE_MX_PYTHON:-}" ]; then
  cd "$RECIPES/.."
  if [ -z "$PRINT_CONFIG" ]; then
    . recipes/lib/setup.sh demo,rendered
    export ARCFACE_MX_PYTHON=$VENV/bin/python
  fi
fi

NAME=$(basename "$0" .sh)
SEED=${SEED:-0}
CACHE=${ARCFACE_MX_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/arcface-mx}

arcface() {
  if [ -z "$PRINT_CONFIG" ]; then
    "$ARCFACE_MX_PYTHON" -m arcface_mx "$@"
  elif [ "$1" = train ]; then
    print_config "$@"
  fi
}

# A configuration needs no package. A stand-in for numpy lets any Python print it.
print_config() {
  "${ARCFACE_MX_PYTHON:-${PYTHON:-python3}}" -B -c 'import runpy, sys, types
sys.modules["numpy"] = numpy = types.ModuleType("numpy")
numpy.__version__ = "1"
runpy.run_module("arcface_mx", run_name="__main__")' "$@"
}

default_data() {
  DATA=$CACHE/rendered-650x16-seed0
  [ -e "$DATA/property" ] || arcface data rendered "$DATA" --identities 650 --images 16 --supersampling 1 --seed 0
  [ -e "$CACHE/orl/orl.json" ] || arcface data orl "$CACHE/orl"
  EVAL=${EVAL:-$DATA/rendered_lfw.bin $DATA/rendered_cfp_fp.bin $DATA/rendered_agedb_30.bin $CACHE/orl/orl_all.bin}
}

if [ -n "${DATA:-}" ]; then
  BUDGET=${BUDGET:-paper}
  EVAL=${EVAL:-$(echo "$DATA"/*.bin)}
  RUN=${RUN:-runs/$NAME-$(basename "$DATA")-seed$SEED}
else
  BUDGET=${BUDGET:-laptop}
  default_data
  RUN=${RUN:-runs/$NAME-rendered-seed$SEED}
fi

# own_schedule STEPS DROPS BATCH prints the schedule of a row that another paper defines. In the other budgets the
# learning rate drops after the same shares of the steps.
own_schedule() {
  if [ "$BUDGET" = paper ]; then
    echo "--steps $1 --lr-drops $2 --batch-size $3 --schedule-batch $3"
  else
    echo "--lr-drops=$(drops_at "$2" "$1" "$STEPS")"
  fi
}

# drops_at DROPS STEPS TOTAL prints the drops of a schedule of STEPS steps, moved to the same shares of TOTAL steps.
# Drops that fall together, or before the first step, are printed once or not at all.
drops_at() {
  awk -v drops="$1" -v steps="$2" -v total="$3" 'BEGIN {
    count = split(drops, at, ",")
    for (i = 1; i <= count; i++) {
      drop = int(at[i] * total / steps)
      if (drop > last) { list = list (last ? "," : "") drop; last = drop }
    }
    print list }'
}

if [ "$BUDGET" = paper ]; then
  # Section 3.1 of the paper, spelled out in arcface_mx/config.py. Another --batch-size keeps the number
  # of images: steps and learning rate follow.
  SETTINGS=(--preset paper)
else
  # Small images and a small network, see arcface_mx/presets.py; recipes/results/README.md has the trials.
  if [ "$BUDGET" = photographs ]; then SCHEDULE=(7200 4628,6428); else SCHEDULE=(1150 740,1025); fi
  STEPS=${STEPS:-${SCHEDULE[0]}}
  SETTINGS=(--preset "$BUDGET" --steps "$STEPS" "--lr-drops=$(drops_at "${SCHEDULE[1]}" "${SCHEDULE[0]}" "$STEPS")")
fi

# train FLAGS trains, verifies and exports, then prints the row beside the paper's figures. With JUST_TRAIN
# it stops after the training.
train() {
  local evals=() set
  for set in $EVAL; do evals+=(--eval "$set"); done
  arcface train --data "$DATA" ${evals[@]+"${evals[@]}"} "${SETTINGS[@]}" --seed "$SEED" --run "$RUN" "$@"
  if [ -n "${JUST_TRAIN:-}$PRINT_CONFIG" ]; then return; fi
  baselines "$RUN"
  arcface export "$RUN" --out "$RUN/export"
  echo
  arcface table "$RUN"
  arcface table "$RUN" --flip sum
  arcface table "$RUN" --tar 0.01
}

# baselines RUN measures methods without a network on the same sets, for the first lines of the table.
baselines() {
  [ -e "$1/baselines.json" ] || arcface baselines "$DATA" $EVAL --json "$1/baselines.json" >/dev/null
}
