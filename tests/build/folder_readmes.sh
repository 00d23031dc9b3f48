#!/usr/bin/env bash
# Every folder with sources says in a README.md what it holds and its one idea. Public headers speak
# for themselves: the README is beside linnet/.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

folders=$(find core kernels modules bridge report tests benchmarks examples cmake scripts docs -type f \
  ! -path '*/include/linnet/*' ! -path 'tests/fuzz/corpus/*' ! -path 'tests/reference/golden/*' \
  -printf '%h\n' | sort -u)
missing=0
for folder in $folders; do
  if [[ ! -s $folder/README.md ]]; then
    echo "$folder has no README.md"
    missing=1
  fi
done
echo "$(wc -l <<<"$folders") folders"
exit $missing
