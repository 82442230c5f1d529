#!/usr/bin/env bash
# What an owner of NVIDIA GPUs runs once, and sends back: this project has no GPU of its own.
#
#   recipes/gpu_check.sh                       all GPUs; about an hour
#   DEVICES='gpu(0)' recipes/gpu_check.sh      some of them
#   DEVICES=cpu STEPS=8 BENCH='--network recipe' TRAIN='--network iresnet18' recipes/gpu_check.sh    a trial without one
#
# It installs MXNet's GPU build, runs `arcface-mx doctor --gpu` and `arcface-mx bench gpu`, trains the row
# ArcFace (0.5) for STEPS steps, trains it again, kills that run half-way, resumes it, and compares both ends bit
# for bit. A part that fails does not stop the others. All results come into one archive, without images and weights.
#
# Environment variables:
#   DEVICES      device list (default: all GPUs; the runs then take gpu(0))
#   STEPS        steps of each run (default: 200)
#   DATA         folder with train.rec (default: images that are rendered on this machine once)
#   OUT          folder of the results (default: gpu_check-DATE)
#   BENCH TRAIN  further flags of `bench gpu` and of `train`
#   ARCFACE_MX   an installed command, instead of an installation into .venv
#   MXNET PYTHON VENV    see lib/setup.sh
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

DEVICES=${DEVICES:-} STEPS=${STEPS:-200}
OUT=${OUT:-gpu_check-$(date -u +%Y%m%d-%H%M)}
if [ -e "$OUT" ]; then echo "gpu_check.sh: $OUT is there already; remove it, or set OUT" >&2; exit 2; fi
if [ "$STEPS" -lt 4 ]; then echo "gpu_check.sh: STEPS is $STEPS; at least 4 steps are needed" >&2; exit 2; fi
mkdir -p "$OUT"
parts=() failed=0

# part NAME COMMAND…: run one part with its output in NAME.txt, and note its exit code.
part() {
  local name=$1 code=0 start=$SECONDS
  shift
  echo "== $name ($(date -u +%H:%M))"
  "$@" >"$OUT/$name.txt" 2>&1 || code=$?
  parts+=("{\"part\": \"$name\", \"code\": $code, \"seconds\": $((SECONDS - start))}")
  if [ "$code" -ne 0 ]; then failed=1; echo "   code $code: $(tail -n 1 "$OUT/$name.txt")"; fi
}

install() {
  case $DEVICES in cpu*) ;; *) export MXNET=${MXNET:-mxnet-cu117} ;; esac
  (. recipes/lib/setup.sh demo,rendered)
}

if [ -z "${ARCFACE_MX:-}" ]; then
  part install install
  ARCFACE_MX=${VENV:-$PWD/.venv}/bin/arcface-mx
fi
if [ ! -x "$ARCFACE_MX" ]; then echo "gpu_check.sh: there is no $ARCFACE_MX; $OUT/install.txt says why" >&2; exit 2; fi

case $DEVICES in
  cpu*) part doctor "$ARCFACE_MX" doctor --json "$OUT/doctor.json" ;;
  *) part doctor "$ARCFACE_MX" doctor --gpu ${DEVICES:+"$DEVICES"} --json "$OUT/doctor.json" ;;
esac
part bench "$ARCFACE_MX" bench gpu --devices "$DEVICES" ${BENCH:-} --json "$OUT/bench.json"

if [ -z "${DATA:-}" ]; then
  DATA=${ARCFACE_MX_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/arcface-mx}/rendered-650x16-seed0
  if [ ! -e "$DATA/property" ]; then part data "$ARCFACE_MX" data rendered "$DATA" --identities 650 --images 16 --supersampling 1 --seed 0; fi
fi
half=$((STEPS / 2)) all=${DEVICES:-gpu(0)}
commas=${all//[^,]/}
batch=$((64 * (${#commas} + 1)))

# run NAME: the flags of recipes/arcface_m0.50.sh with another schedule, in $OUT/runs/NAME.
run() {
  "$ARCFACE_MX" train --preset paper --loss arcface --m 0.5 --data "$DATA" --run "$OUT/runs/$1" --devices "$all" --deterministic \
    --batch-size "$batch" --schedule-batch 0 --steps "$STEPS" --lr-drops "$half" --checkpoint-every "$half" --log-every 10 ${TRAIN:-}
}

# killed NAME: start a run in a process group of its own, and kill the group after its first checkpoint.
killed() {
  export -f run
  export ARCFACE_MX DATA OUT all batch STEPS half TRAIN
  setsid bash -c 'run "$1"' run "$1" &
  local group=$! code=0
  while kill -0 "$group" 2>/dev/null; do
    if compgen -G "$OUT/runs/$1/checkpoints/step-*" >/dev/null; then break; fi
    sleep 0.2
  done
  kill -9 -- "-$group" 2>/dev/null || true
  wait "$group" || code=$?
  if [ "$code" -ne 137 ]; then echo "the run ended by itself, with code $code"; return 1; fi
}

same_bits() { diff -r "$OUT/runs/whole/checkpoints" "$OUT/runs/killed/checkpoints" && echo "all files of the last checkpoints are equal"; }

TRAIN=${TRAIN:-}
part train run whole
part kill killed killed
part resume run killed
part same_bits same_bits

for name in whole killed; do
  mkdir -p "$OUT/$name"
  for file in config.json environment.json log.jsonl metrics.json; do
    if [ -e "$OUT/runs/$name/$file" ]; then cp "$OUT/runs/$name/$file" "$OUT/$name"; fi
  done
done
rm -rf "$OUT/runs"
printf '{"commit": "%s", "devices": "%s", "parts": [%s]}\n' "$(git rev-parse HEAD 2>/dev/null || true)" "$DEVICES" \
  "$(IFS=,; echo "${parts[*]}")" >"$OUT/summary.json"
tar -czf "$OUT.tar.gz" -C "$(dirname "$OUT")" "$(basename "$OUT")"
echo
cat "$OUT/bench.txt"
echo "Please attach $OUT.tar.gz to an issue of the project. It names this machine's processor, cards and paths."
exit $failed
