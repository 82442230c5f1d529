#!/usr/bin/env bash
# Row: SphereFace (1.35). eq. 4 with m1 = 1.35: s·cos(1.35·θ).
# Paper (CASIA-WebFace): LFW 99.11, CFP-FP 94.38, AgeDB-30 91.70.
. "$(dirname "$0")/lib/common.sh"
train --loss sphereface --m 1.35 "$@"
