#!/usr/bin/env bash
# A SLURM of one node, for tests: all its files lie in one folder, it shares nothing with a cluster that may be there.
#   one_node.sh install          installs SLURM where apt can (needs root or sudo once)
#   one_node.sh start FOLDER     starts it; then: export SLURM_CONF=FOLDER/slurm.conf
#   one_node.sh stop FOLDER
set -euo pipefail

install() {
  if command -v slurmctld slurmd sbatch munged >/dev/null; then return 0; fi
  command -v apt-get >/dev/null || { echo "SLURM cannot be installed: there is no apt-get here"; return 3; }
  local sudo=""
  if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null || { echo "SLURM cannot be installed: neither root nor sudo"; return 3; }
    sudo="sudo -n"
  fi
  $sudo env DEBIAN_FRONTEND=noninteractive apt-get update -q >/dev/null || true
  $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends slurm-wlm munge >/dev/null ||
    { echo "SLURM cannot be installed: apt-get install slurm-wlm munge failed"; return 3; }
}

start() {
  local folder user host memory ports
  folder=$(mkdir -p "$1" && cd "$1" && pwd)
  user=$(id -un) host=$(hostname -s)
  memory=$(awk '/MemTotal/ {print int($2 / 1024 * 0.9)}' /proc/meminfo)
  ports=$(python3 -c 'import socket
both = [socket.socket() for _ in range(2)]
for each in both: each.bind(("127.0.0.1", 0))
print(*(each.getsockname()[1] for each in both))')
  read -r control node <<<"$ports"
  mkdir -p "$folder"/{state,spool,munge}
  chmod 700 "$folder/munge"
  (umask 077 && head -c 1024 /dev/urandom >"$folder/munge/key")
  cat >"$folder/slurm.conf" <<CONF
ClusterName=tests
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$control
SlurmdPort=$node
SlurmUser=$user
SlurmdUser=$user
AuthType=auth/munge
AuthInfo=socket=$folder/munge/socket
CredType=cred/munge
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SwitchType=switch/none
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_interval=1,bf_interval=1
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
JobCompType=jobcomp/none
KillWait=2
ReturnToService=2
NodeName=$host NodeAddr=127.0.0.1 CPUs=$(nproc) RealMemory=$memory State=UNKNOWN
PartitionName=tests Nodes=$host Default=YES MaxTime=INFINITE State=UP
CONF
  munged --force --key-file="$folder/munge/key" --socket="$folder/munge/socket" --pid-file="$folder/munge/pid" \
    --log-file="$folder/munge/log" --seed-file="$folder/munge/seed"
  export SLURM_CONF=$folder/slurm.conf
  slurmctld -f "$SLURM_CONF"
  slurmd -f "$SLURM_CONF"
  for _ in $(seq 100); do
    if sinfo -h -o %T 2>/dev/null | grep -q idle; then return 0; fi
    sleep 0.2
  done
  echo "SLURM did not start: see the logs in $folder" >&2
  tail -n 20 "$folder"/*.log "$folder/munge/log" >&2
  return 1
}

stop() {
  local file
  for file in "$1/slurmd.pid" "$1/slurmctld.pid" "$1/munge/pid"; do
    if [ -s "$file" ]; then kill "$(cat "$file")" 2>/dev/null || true; fi
  done
}

case "${1:-}" in
  install) install ;;
  start) start "$2" ;;
  stop) stop "$2" ;;
  *) sed -n '2,5p' "$0" >&2; exit 2 ;;
esac
