#!/usr/bin/env bash
# Row: CosFace (0.35). eq. 4 with m3 = 0.35: s·(cos θ − 0.35).
# Paper (CASIA-WebFace): LFW 99.51, CFP-FP 95.44, AgeDB-30 94.56.
. "$(dirname "$0")/lib/common.sh"
train --loss cosface --m 0.35 "$@"
