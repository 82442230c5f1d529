#!/usr/bin/env bash
# Fine-tunes a trained model on identities of your own, and verifies it before and after on other identities.
#   MODEL=runs/arcface_m0.50-rendered-seed0 DATA=orl/fold1 SET=orl/fold1/orl.bin recipes/fine_tune.sh
#   MODEL=published/model,0 DATA=faces recipes/fine_tune.sh --steps 120
# MODEL: a run folder or PREFIX,EPOCH; its own graph is trained. DATA: the folder that `arcface-mx data pack
# --held-out N` wrote. SET: pairs of other identities (default: DATA/held_out.bin). RUN: the run folder to
# write. Paths are absolute or relative to the checkout. The last line says which accuracy the model had before
# and has after; the exit code is 1 if it fell. The class centres are new and have a learning rate of 0.1, the
# network has 0.00003 (preset fine-tune). A network of your own that has seen few people may move faster:
# --lr-mult '^(?!fc7)=0.03' --no-freeze-batchnorm --shift 2 --rotate 5 --jitter 0.2. Any flag of `arcface-mx train` overrides.
: "${MODEL:?name a model: a run folder or PREFIX,EPOCH}" "${DATA:?name a face set: what arcface-mx data pack made}"
SET=${SET:-$DATA/held_out.bin}
EVAL=$SET
. "$(dirname "$0")/lib/common.sh"

[ -n "${PRINT_CONFIG:-}" ] || echo "Before:"
arcface verify "$MODEL" "$SET"
arcface train --preset fine-tune --data "$DATA" --eval "$SET" --init "$MODEL" --network init \
  --seed "$SEED" --run "$RUN" "$@"
