#!/usr/bin/env bash
# Row: NS+Inter. eq. 2 + eq. 6.
# Paper (CASIA-WebFace): LFW 98.68, CFP-FP 90.67, AgeDB-30 89.50.
. "$(dirname "$0")/lib/common.sh"
train --loss norm_softmax --inter-weight 1 "$@"
