#!/usr/bin/env bash
# Fails when including the umbrella header alone costs more than the budget.
# include_budget.sh COMPILER SECONDS INCLUDE_DIR...
# The best of three runs counts, so that a busy machine does not fail the test.
set -euo pipefail
compiler=$1 budget=$2
shift 2
flags=(-std=c++20 -O0)
for folder in "$@"; do flags+=("-I$folder"); done

source=$(mktemp --suffix=.cpp)
trap 'rm -f "$source"' EXIT
echo '#include <linnet/linnet.h>' >"$source"

best=
for _ in 1 2 3; do
  start=$(date +%s%N)
  "$compiler" "${flags[@]}" -fsyntax-only "$source"
  milliseconds=$((($(date +%s%N) - start) / 1000000))
  if [[ -z $best || $milliseconds -lt $best ]]; then best=$milliseconds; fi
done
lines=$("$compiler" "${flags[@]}" -E -P "$source" | wc -l)
limit=$(awk -v s="$budget" 'BEGIN { printf "%d", s * 1000 }')

echo "#include <linnet/linnet.h>: $best ms (budget $limit ms), $lines lines after the preprocessor"
if ((best > limit)); then
  echo "Over budget. 'g++ -H' shows who includes what; -ftime-report shows where the time goes." >&2
  exit 1
fi
