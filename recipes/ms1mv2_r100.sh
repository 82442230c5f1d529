#!/usr/bin/env bash
# ArcFace (0.5) with ResNet100 on MS1MV2: 85,742 identities, 5.8 million images.
#   DATA=/data/faces_emore recipes/ms1mv2_r100.sh --devices 'gpu(0),gpu(1),gpu(2),gpu(3)'
# Schedule of the paper (section 3.1): batch 512, learning rate divided by 10 at 100K and 160K of 180K steps.
# Published by InsightFace for a ResNet100 on MS1MV2: LFW 99.77, CFP-FP 98.27, AgeDB-30 98.28 (model_zoo/README.md),
# IJB-C TAR at FAR 1e-4 96.37 (recognition/arcface_torch/README.md), both on github.com/deepinsight/insightface.
# Their training differs in details. This recipe was not run here, because there was no GPU and no MS1MV2.
: "${DATA:?name the folder of MS1MV2: train.rec, train.idx, property and .bin files}"
BUDGET=paper
. "$(dirname "$0")/lib/common.sh"
train --loss arcface --m 0.5 --network iresnet100 --steps 180000 --lr-drops 100000,160000 "$@"
