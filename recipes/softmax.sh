#!/usr/bin/env bash
# Row: Softmax. eq. 1: W·x + b.
# Paper (CASIA-WebFace): LFW 99.08, CFP-FP 94.39, AgeDB-30 92.33.
. "$(dirname "$0")/lib/common.sh"
train --loss softmax "$@"
