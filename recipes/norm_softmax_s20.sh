#!/usr/bin/env bash
# Row: NS (s = 20). eq. 2: s·cos θ at the scale that the journal printing found best.
# Journal printing (CASIA-WebFace): LFW 99.20, CFP-FP 94.61, AgeDB-30 92.65.
. "$(dirname "$0")/lib/common.sh"
train --loss norm_softmax --scale 20 "$@"
