#!/usr/bin/env bash
# The paper's toy figure: 8 identities in a 2-d embedding, softmax beside ArcFace.
# The data are rendered, 400 images an identity. The picture is runs/toy/plots/plane.png.
# ArcFace starts from the softmax run, with its class centres at the mean embeddings, because class centres on
# a circle cannot pass each other. The learning rate is low, because the direction of a 2-d embedding changes
# quickly near the origin. The policy "linear" keeps the target logit falling beyond π − m.
. "$(dirname "$0")/lib/common.sh"
FACES=$CACHE/rendered-8x400-seed3
[ -n "$PRINT_CONFIG" ] || [ -e "$FACES/property" ] || arcface data rendered "$FACES" --identities 8 --images 400 --seed 3
OUT=${OUT:-runs/toy}
toy() {
  arcface train --preset paper --schedule-batch 0 --data "$FACES" --network iresnet18 --width 0.25 --dropout 0 --image-size 48 --embedding-size 2 \
    --batch-size 64 --warmup-steps 50 --steps 800 --lr-drops 500,700 --log-every 50 --seed "$SEED" "$@"
}
toy --run "$OUT/softmax" --loss softmax --lr 0.05 "$@"
toy --run "$OUT/arcface" --loss arcface --m 0.5 --scale 16 --margin-ramp 0.6 --policy linear --lr 0.003 \
  --init "$OUT/softmax" --init-centres mean --freeze-batchnorm "$@"
arcface plots "$OUT/softmax" "$OUT/arcface" --out "$OUT/plots"
