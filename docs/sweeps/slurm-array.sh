#!/usr/bin/env bash
# A sweep as a Slurm job array: each task takes every n-th point into a store of its own. A second job
# merges them once all have ended well:
#
#   export AXES="-a method=a2ats -a context[pow2]=[12:17]" SHARDS=4
#   job=$(sbatch --parsable --array=0-3 docs/sweeps/slurm-array.sh)
#   sbatch --dependency=afterok:$job --wrap 'kvsieve sweep merge sweep-out/part-*.db --store sweep-out/merged.db'
#
# Traces are given in TRACES, separated by spaces. OUT is a folder that all nodes see. A task that was
# killed goes on where its store stands when it is submitted again.
#SBATCH --job-name=kvsieve-sweep
#SBATCH --ntasks=1
set -euo pipefail

: "${AXES:?what to vary, e.g. -a budget=5%,10%}"
: "${SHARDS:?number of array tasks}"
OUT=${OUT:-$PWD/sweep-out}
mkdir -p "$OUT"

set -f  # brackets in axes are no patterns of file names
# shellcheck disable=SC2086  # several words each
kvsieve sweep ${TRACES:-} $AXES --shard "$SLURM_ARRAY_TASK_ID/$SHARDS" \
  --store "$OUT/part-$SLURM_ARRAY_TASK_ID.db" --resume --threads "${SLURM_CPUS_PER_TASK:-1}" --quiet
