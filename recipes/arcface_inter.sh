#!/usr/bin/env bash
# Row: ArcFace+Inter. eq. 3 + eq. 6.
# Paper (CASIA-WebFace): LFW 99.43, CFP-FP 95.25, AgeDB-30 94.55.
. "$(dirname "$0")/lib/common.sh"
train --loss arcface --m 0.5 --inter-weight 1 "$@"
