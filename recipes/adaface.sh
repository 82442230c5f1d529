#!/usr/bin/env bash
# Row: AdaFace. margin 0.4 between angle and cosine by the embedding's norm (Kim et al., CVPR 2022).
# No figure in the paper: a later loss.
. "$(dirname "$0")/lib/common.sh"
train --loss adaface --m 0.4 --h 0.333 "$@"
