#!/usr/bin/env bash
# Row: Contrastive (0.3, 1.2). max(0, d − 0.3) for same pairs, max(0, 1.2 − d) for different ones.
# No figure in the paper: the first loss that it derives.
. "$(dirname "$0")/lib/common.sh"
train --loss contrastive --positive-margin 0.3 --negative-margin 1.2 --mining all --images-per-identity 4 "$@"
