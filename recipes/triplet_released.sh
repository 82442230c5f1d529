#!/usr/bin/env bash
# Row: Triplet (0.35), released sampler. The released code's bag of 7,200 images, 5 an identity, semi-hard, lr 0.05.
# No figure in the paper, which does not say how triplets are drawn. As many images are trained on as in triplet.sh.
. "$(dirname "$0")/lib/common.sh"
train --loss triplet --margin 0.35 --mining facenet --bag 30 --lr 0.05 --images-per-identity 5 \
  $(own_schedule 68267 42667,59733 240) --batch-size 240 "$@"
