#!/usr/bin/env bash
# A sweep over the cores of a machine, or over machines by ssh, with GNU parallel.
#
#   AXES="-a method=a2ats -a context[pow2]=[12:17]" SHARDS=4 docs/sweeps/gnu-parallel.sh
#
# PARALLEL_OPTIONS may name machines, e.g. "--sshlogin node1,node2 --transferfile ...". The job log lets
# `--resume-failed` run only what failed.
set -euo pipefail

: "${AXES:?what to vary, e.g. -a budget=5%,10%}"
SHARDS=${SHARDS:-4}
OUT=${OUT:-$PWD/sweep-out}
mkdir -p "$OUT"

# shellcheck disable=SC2086  # several words each
seq 0 $((SHARDS - 1)) | parallel --will-cite --joblog "$OUT/jobs.log" ${PARALLEL_OPTIONS:-} \
  set -f ";" kvsieve sweep ${TRACES:-} "$AXES" --shard "{}/$SHARDS" --store "$OUT/part-{}.db" --resume --threads 1 --quiet
kvsieve sweep merge "$OUT"/part-*.db --store "$OUT/merged.db"
