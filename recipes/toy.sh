#!/usr/bin/env bash
# The paper's toy figure: 8 identities on a 2-d embedding, softmax beside ArcFace, through the same trainer.
# Rendered people, 400 photos each; both runs differ in the loss alone. Ends with runs/toy/figures/plane.png.
. "$(dirname "$0")/common.sh"
FACES=$CACHE/rendered-8x400-seed3
[ -e "$FACES/property" ] || arcface data rendered "$FACES" --identities 8 --images 400 --seed 3
OUT=${OUT:-runs/toy}
toy() {
  arcface train --data "$FACES" --network iresnet18 --width 0.25 --dropout 0 --image-size 48 --embedding-size 2 \
    --batch-size 64 --lr 0.05 --warmup-steps 50 --steps 800 --lr-drops 500,700 --log-every 50 --seed "$SEED" "$@"
}
toy --run "$OUT/softmax" --loss softmax "$@"
toy --run "$OUT/arcface" --loss margin --m2 0.5 --scale 16 --margin-ramp 0.4 "$@"
arcface figures "$OUT/softmax" "$OUT/arcface" --out "$OUT/figures"
