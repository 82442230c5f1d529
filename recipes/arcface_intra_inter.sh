#!/usr/bin/env bash
# Row: ArcFace+Intra+Inter. eq. 3 + eq. 5 + eq. 6.
# Paper (CASIA-WebFace): LFW 99.43, CFP-FP 95.42, AgeDB-30 95.10.
. "$(dirname "$0")/lib/common.sh"
train --loss arcface --m 0.5 --intra-weight 1 --inter-weight 1 "$@"
