#!/usr/bin/env bash
# Row: Triplet (0.35). hinge of arccos(a·p) − arccos(a·n) + 0.35, semi-hard negatives of the batch.
# Paper (CASIA-WebFace): LFW 98.98, CFP-FP 91.90, AgeDB-30 89.98.
. "$(dirname "$0")/lib/common.sh"
train --loss triplet --margin 0.35 --images-per-identity 4 "$@"
