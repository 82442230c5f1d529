#!/usr/bin/env bash
# Row: Sub-centre ArcFace (K = 3). eq. 3 on the nearest of three centres a class (Deng et al., ECCV 2020).
# No figure in the paper: a later loss.
. "$(dirname "$0")/lib/common.sh"
train --loss sub_centre --m 0.5 --sub-centres 3 "$@"
