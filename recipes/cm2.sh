#!/usr/bin/env bash
# Row: CM2 (0.9, 0.4, 0.15). eq. 4: s·(cos(0.9·θ + 0.4) − 0.15).
# Paper (CASIA-WebFace): LFW 99.50, CFP-FP 95.24, AgeDB-30 94.86.
. "$(dirname "$0")/lib/common.sh"
train --loss cm2 "$@"
