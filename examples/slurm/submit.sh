#!/bin/bash
# Processes all participants of a dataset as an array of jobs, and the group after them:
#   ./submit.sh BIDS_DIR OUT_DIR WORK_DIR [options of qmri_bids]
# Options of sbatch stand in SBATCH_OPTIONS: SBATCH_OPTIONS="--partition=long --mem=16G" ./submit.sh …
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
bids_dir=$(cd "$1" && pwd)
mkdir -p "$2" "$3"
out_dir=$(cd "$2" && pwd) work_dir=$(cd "$3" && pwd)
shift 3

folders=("$bids_dir"/sub-*/)
[ -d "${folders[0]}" ] || { echo "$bids_dir: expected folders sub-<label>, found none" >&2; exit 2; }

array=$(sbatch --parsable ${SBATCH_OPTIONS:-} --array="0-$((${#folders[@]} - 1))" "$here/array.sbatch" \
  "$bids_dir" "$out_dir" "$work_dir" "$@")
# afterany, not afterok: the tables of the group say which participants failed.
group=$(sbatch --parsable ${SBATCH_OPTIONS:-} --job-name=qmri_bids_group --dependency="afterany:$array" \
  --output=qmri_bids-group-%j.out --wrap="exec ${QMRI_BIDS:-qmri_bids} '$bids_dir' '$out_dir' group")
echo "participants: job $array (tasks 0 to $((${#folders[@]} - 1))), group: job $group"
