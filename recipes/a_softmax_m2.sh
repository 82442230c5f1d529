#!/usr/bin/env bash
# Row: A-Softmax (m = 2). λ annealed from 1000 to 5, features not normalised.
# SphereFace's own table (CASIA-WebFace, 20 to 64 layers): LFW 98.40, YTF 93.8.
. "$(dirname "$0")/lib/common.sh"
train --loss a_softmax --m 2 $(own_schedule 28000 16000,24000 128) "$@"
