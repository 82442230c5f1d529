#!/usr/bin/env bash
# Row: ArcFace (0.5), s = 64, no ramp. eq. 3 with the paper's scale and full margin from the first step.
# On the default data: what the paper's values do in few steps. The warm-up is that of the other rows there.
. "$(dirname "$0")/lib/common.sh"
train --loss arcface --m 0.5 --scale 64 --margin-ramp 0 --warmup-steps 150 "$@"
