#!/usr/bin/env bash
# Row: NS+Intra (s = 20). eq. 2 + eq. 5 at the scale that the journal printing found best.
# Journal printing (CASIA-WebFace): LFW 99.30, CFP-FP 94.85, AgeDB-30 93.58.
. "$(dirname "$0")/lib/common.sh"
train --loss norm_softmax --scale 20 --intra-weight 1 "$@"
