#!/usr/bin/env bash
# Row: FaceNet triplet (0.2). hinge of ‖a − p‖² − ‖a − n‖² + 0.2, random semi-hard negatives.
# No figure in the paper: the second loss that it derives.
. "$(dirname "$0")/lib/common.sh"
train --loss euclidean_triplet --margin 0.2 --mining facenet --images-per-identity 4 "$@"
