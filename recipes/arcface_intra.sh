#!/usr/bin/env bash
# Row: ArcFace+Intra. eq. 3 + eq. 5.
# Paper (CASIA-WebFace): LFW 99.45, CFP-FP 95.37, AgeDB-30 94.73.
. "$(dirname "$0")/lib/common.sh"
train --loss arcface --m 0.5 --intra-weight 1 "$@"
