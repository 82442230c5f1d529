#!/usr/bin/env bash
# Row: SphereFace (its own paper). A-Softmax, m = 4, λ annealed from 1000 to 5, features not normalised.
# Paper (CASIA-WebFace): LFW 99.42.
. "$(dirname "$0")/lib/common.sh"
train --loss a_softmax --m 4 $(own_schedule 28000 16000,24000 128) "$@"
