#!/usr/bin/env bash
# Row: NS+Inter (s = 20). eq. 2 + eq. 6 at the scale that the journal printing found best.
# Journal printing (CASIA-WebFace): LFW 99.22, CFP-FP 94.73, AgeDB-30 92.94.
. "$(dirname "$0")/lib/common.sh"
train --loss norm_softmax --scale 20 --inter-weight 1 "$@"
