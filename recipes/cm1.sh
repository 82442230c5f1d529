#!/usr/bin/env bash
# Row: CM1 (1, 0.3, 0.2). eq. 4: s·(cos(θ + 0.3) − 0.2).
# Paper (CASIA-WebFace): LFW 99.48, CFP-FP 95.12, AgeDB-30 94.38.
. "$(dirname "$0")/lib/common.sh"
train --loss cm1 "$@"
