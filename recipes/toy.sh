#!/usr/bin/env bash
# The paper's toy figure: 8 identities on a 2-d embedding, softmax beside ArcFace, through the same trainer.
# Rendered people, 400 photos each. Ends with runs/toy/plots/plane.png.
# ArcFace goes on from softmax: on a circle centres cannot pass each other, so it starts where the people
# already are (--init-centres mean), slowly (near the origin the direction of a 2-d embedding turns with
# every step), and with the logit that keeps falling past π − m (results/README.md has what else was tried).
. "$(dirname "$0")/lib/common.sh"
FACES=$CACHE/rendered-8x400-seed3
[ -e "$FACES/property" ] || arcface data rendered "$FACES" --identities 8 --images 400 --seed 3
OUT=${OUT:-runs/toy}
toy() {
  arcface train --data "$FACES" --network iresnet18 --width 0.25 --dropout 0 --image-size 48 --embedding-size 2 \
    --batch-size 64 --warmup-steps 50 --steps 800 --lr-drops 500,700 --log-every 50 --seed "$SEED" "$@"
}
toy --run "$OUT/softmax" --loss softmax --lr 0.05 "$@"
toy --run "$OUT/arcface" --loss arcface --m 0.5 --scale 16 --margin-ramp 0.6 --policy linear --lr 0.003 \
  --init "$OUT/softmax" --init-centres mean --freeze-batchnorm "$@"
arcface plots "$OUT/softmax" "$OUT/arcface" --out "$OUT/plots"
