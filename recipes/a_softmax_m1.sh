#!/usr/bin/env bash
# Row: A-Softmax (m = 1). λ annealed from 1000 to 5, features not normalised.
# SphereFace's own table (CASIA-WebFace, 20 to 64 layers): LFW 97.90, YTF 93.2.
. "$(dirname "$0")/lib/common.sh"
train --loss a_softmax --m 1 $(own_schedule 28000 16000,24000 128) "$@"
