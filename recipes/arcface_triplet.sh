#!/usr/bin/env bash
# Row: ArcFace+Triplet. eq. 3 + angular triplet (0.35).
# Paper (CASIA-WebFace): LFW 99.50, CFP-FP 95.51, AgeDB-30 94.40.
. "$(dirname "$0")/lib/common.sh"
train --loss arcface --m 0.5 --triplet-weight 1 --images-per-identity 4 "$@"
