#!/usr/bin/env bash
# Measures two builds of a Google Benchmark program in turns and compares them:
#
#   ci/gate.sh OLD_PROGRAM NEW_PROGRAM [options of kvsieve compare]
#
# Each repetition is a process of its own, and the sides take turns in going first, so that what the
# machine does meanwhile, and where code and data happen to lie, disturbs both alike.
#   ROUNDS    repetitions a side (20)        MIN_TIME  seconds a case and repetition (0.05)
#   RESULTS   folder for the measurements (results)
# Exit code: that of kvsieve compare; 3 if a program could not be measured.
set -euo pipefail
usage="usage: ci/gate.sh OLD_PROGRAM NEW_PROGRAM [options of kvsieve compare]"
old=${1:?$usage} new=${2:?$usage}
shift 2
results=${RESULTS:-results}

rm -rf "$results"
mkdir -p "$results/old" "$results/new"
for round in $(seq -w "${ROUNDS:-20}"); do
  sides=(old new)
  [ $((10#$round % 2)) -eq 0 ] && sides=(new old)
  for side in "${sides[@]}"; do
    "${!side}" --benchmark_min_time="${MIN_TIME:-0.05}" --benchmark_out_format=json \
      --benchmark_out="$results/$side/$round.json" >"$results/$side.log" 2>&1 || {
      code=$?
      tail -n 20 "$results/$side.log" >&2
      echo "error: the $side program (${!side}) failed with exit code $code" >&2
      exit 3
    }
  done
done
kvsieve compare "$results/old" "$results/new" "$@"
