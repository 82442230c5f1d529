#!/usr/bin/env bash
# Row: CosFace (its own paper). s·(cos θ − 0.35), with the schedule of its own paper.
# Paper (CASIA-WebFace): LFW 99.33.
. "$(dirname "$0")/lib/common.sh"
train --loss cosface --m 0.35 $(own_schedule 30000 16000,24000,28000 512) "$@"
