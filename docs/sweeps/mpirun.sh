#!/usr/bin/env bash
# A sweep over MPI ranks: rank 0 hands out chunks and alone writes the store.
#
#   AXES="-a method=a2ats -a context[pow2]=[12:17]" RANKS=4 docs/sweeps/mpirun.sh
#
# Under Slurm, srun takes the place of mpirun. Should a rank or node die, the job ends; the same command
# goes on where the store stands.
set -euo pipefail

: "${AXES:?what to vary, e.g. -a budget=5%,10%}"
RANKS=${RANKS:-4}
OUT=${OUT:-$PWD/sweep-out}
mkdir -p "$OUT"

set -f  # brackets in axes are no patterns of file names
# shellcheck disable=SC2086  # several words each
mpirun -n "$RANKS" ${MPIRUN_OPTIONS:-} kvsieve sweep --mpi ${TRACES:-} $AXES \
  --store "$OUT/mpi.db" --resume --threads 1 --quiet
