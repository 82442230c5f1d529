#!/usr/bin/env bash
# Row: NS+Intra+Inter. eq. 2 + eq. 5 + eq. 6.
# Paper (CASIA-WebFace): LFW 98.73, CFP-FP 94.00, AgeDB-30 91.41.
. "$(dirname "$0")/lib/common.sh"
train --loss norm_softmax --intra-weight 1 --inter-weight 1 "$@"
