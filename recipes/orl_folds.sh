#!/usr/bin/env bash
# Real photographs: the four folds of ORL. Each fold fine-tunes the ArcFace (0.5) run on 30 identities and is
# verified on the other ten. The new class centres have a learning rate of 0.1, the network has 0.003.
# SEEDS: seeds of the fine-tuning (default: "0 1 2").
. "$(dirname "$0")/lib/common.sh"
BASE=${BASE:-runs/arcface_m0.50-rendered-seed0}
[ -n "$PRINT_CONFIG" ] || [ -e "$BASE/metrics.json" ] || bash "$RECIPES/arcface_m0.50.sh"

runs=()
for fold in 1 2 3 4; do
  for seed in ${SEEDS:-0 1 2}; do
    faces=$CACHE/orl/fold$fold run=runs/orl-fold$fold-seed$seed
    arcface train --data "$faces" --eval "$faces/orl.bin" "${SETTINGS[@]}" --init "$BASE" \
      --lr 0.1 --lr-mult '^(?!fc7)=0.03' --batch-size 64 --steps 160 --lr-drops 120 --warmup-steps 20 \
      --margin-ramp 0 --shift 2 --rotate 5 --jitter 0.2 --log-every 40 --seed "$seed" --run "$run" "$@" ||
      [ -e "$run/metrics.json" ] # the exit code is 1 if a fold's accuracy fell
    [ -n "$PRINT_CONFIG" ] || [ -e "$run/baselines.json" ] || arcface baselines "$faces" "$faces/orl.bin" --json "$run/baselines.json" >/dev/null
    runs+=("$run")
  done
  arcface table runs/orl-fold$fold-seed*
done
[ -n "$PRINT_CONFIG" ] || echo "Mean over folds and seeds:"
arcface table "${runs[@]}"
arcface table "${runs[@]}" --flip sum
arcface table "${runs[@]}" --tar 0.01
