#!/usr/bin/env bash
# Row: NS+Intra+Inter (s = 20). eq. 2 + eq. 5 + eq. 6 at the scale that the journal printing found best.
# Journal printing (CASIA-WebFace): LFW 99.31, CFP-FP 94.88, AgeDB-30 93.76.
. "$(dirname "$0")/lib/common.sh"
train --loss norm_softmax --scale 20 --intra-weight 1 --inter-weight 1 "$@"
