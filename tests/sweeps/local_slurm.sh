#!/usr/bin/env bash
# Starts a Slurm of one node on this machine for tests and leaves it running; prints why where it can't.
#
#   tests/sweeps/local_slurm.sh FOLDER      exit 0: sbatch works; 77: not here
set -euo pipefail
folder=$1
mkdir -p "$folder"/{state,spool,log,munge}

skip() { echo "skipped: $*"; exit 77; }
for program in munged slurmctld slurmd sbatch; do
  PATH=$PATH:/usr/sbin command -v "$program" >/dev/null || skip "$program is not installed (Debian: slurm-wlm, munge)"
done
[ "$(id -u)" -eq 0 ] || skip "starting Slurm's daemons needs root"

host=$(hostname -s)
export SLURM_CONF=$folder/slurm.conf
head -c 1024 /dev/urandom >"$folder/munge/key"
chmod 700 "$folder/munge"
chmod 400 "$folder/munge/key"
/usr/sbin/munged --force --socket="$folder/munge/socket" --key-file="$folder/munge/key" \
  --pid-file="$folder/munge/pid" --log-file="$folder/munge/log" --seed-file="$folder/munge/seed" ||
  skip "munged does not start"
cat >"$SLURM_CONF" <<CONF
ClusterName=test
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket=$folder/munge/socket
CredType=cred/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/log/slurmctld.log
SlurmdLogFile=$folder/log/slurmd.log
SlurmctldPort=16817
SlurmdPort=16818
ReturnToService=2
NodeName=$host NodeAddr=127.0.0.1 CPUs=$(nproc) State=UNKNOWN
PartitionName=all Nodes=$host Default=YES MaxTime=INFINITE State=UP
CONF
/usr/sbin/slurmctld -f "$SLURM_CONF" -c || skip "slurmctld does not start"
/usr/sbin/slurmd -f "$SLURM_CONF" -c || skip "slurmd does not start"
for _ in $(seq 60); do
  sinfo --noheader --format=%T 2>/dev/null | grep -q idle && exit 0
  sleep 0.5
done
skip "the node does not come up: $(tail -1 "$folder/log/slurmd.log")"
