#!/usr/bin/env bash
# A sweep as a Slurm job array: each task takes every n-th point into a store of its own; the last
# step merges them.
#
#   AXES="-a method=a2ats -a context[pow2]=[12:17]" SHARDS=4 sbatch --array=0-3 docs/sweeps/slurm-array.sh
#
# Traces are given in TRACES, separated by spaces. OUT is a folder that all nodes see.
#SBATCH --job-name=kvsieve-sweep
#SBATCH --ntasks=1
set -euo pipefail

: "${AXES:?what to vary, e.g. -a budget=5%,10%}"
: "${SHARDS:?number of array tasks}"
OUT=${OUT:-$PWD/sweep-out}
mkdir -p "$OUT"

# shellcheck disable=SC2086  # several words each
kvsieve sweep ${TRACES:-} $AXES --shard "$SLURM_ARRAY_TASK_ID/$SHARDS" \
  --store "$OUT/part-$SLURM_ARRAY_TASK_ID.db" --resume --threads "${SLURM_CPUS_PER_TASK:-1}" --quiet

# The task that finishes last finds all parts complete; a later merge of the same parts changes nothing.
if [ "$(find "$OUT" -name 'part-*.done' | wc -l)" -eq $((SHARDS - 1)) ]; then
  kvsieve sweep merge "$OUT"/part-*.db --store "$OUT/merged.db"
fi
touch "$OUT/part-$SLURM_ARRAY_TASK_ID.done"
