#!/usr/bin/env bash
# Row: Norm-Softmax (NS). eq. 2: s·cos θ.
# Paper (CASIA-WebFace): LFW 98.56, CFP-FP 89.79, AgeDB-30 88.72.
. "$(dirname "$0")/lib/common.sh"
train --loss norm_softmax "$@"
