#!/usr/bin/env bash
# Row: NS+Intra. eq. 2 + eq. 5.
# Paper (CASIA-WebFace): LFW 98.75, CFP-FP 93.81, AgeDB-30 90.92.
. "$(dirname "$0")/lib/common.sh"
train --loss norm_softmax --intra-weight 1 "$@"
