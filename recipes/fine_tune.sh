#!/usr/bin/env bash
# Fine-tune a trained model on people of one's own, and verify it before and after on people it never saw.
#   MODEL=runs/arcface_m0.50-rendered-seed0 DATA=orl/fold1 SET=orl/fold1/orl.bin recipes/fine_tune.sh
#   MODEL=published/model,0 DATA=faces recipes/fine_tune.sh --steps 60 --lr-drops 45 --freeze-batchnorm
# MODEL: run folder or PREFIX,EPOCH; its own graph is trained on. DATA: what `arcface-mx data pack
# --held-out N` made of aligned photos; SET: pairs of other people (default DATA/held_out.bin). Paths
# are absolute or below the checkout. Class centres are new and learn at 0.1, the network at 0.003.
# RUN: run folder to write. Any flag of `arcface-mx train` overrides.
: "${MODEL:?name a model: a run folder or PREFIX,EPOCH}" "${DATA:?name a face set: what arcface-mx data pack made}"
SET=${SET:-$DATA/held_out.bin}
EVAL=$SET
. "$(dirname "$0")/lib/common.sh"

echo "Before:"
arcface verify "$MODEL" "$SET"
arcface train --data "$DATA" --eval "$SET" --init "$MODEL" --network init --batch-size 64 --scale 32 \
  --lr 0.1 --lr-mult '^(?!fc7)=0.03' --steps 160 --lr-drops 120 --warmup-steps 20 \
  --shift 2 --rotate 5 --jitter 0.2 --log-every 40 --seed "$SEED" --run "$RUN" "$@"
