#!/usr/bin/env bash
# Fails when the umbrella header grows: counts the lines that a user's compiler reads for it.
# include_budget.sh COMPILER LINES INCLUDE_DIR...
# Lines and not seconds, so that a slow or busy machine does not fail the test.
set -euo pipefail
compiler=$1 budget=$2
shift 2
flags=(-std=c++20)
for folder in "$@"; do flags+=("-I$folder"); done

lines=$(echo '#include <linnet/linnet.h>' | "$compiler" "${flags[@]}" -x c++ -E -P - | wc -l)

echo "#include <linnet/linnet.h>: $lines lines after the preprocessor (budget $budget)"
if ((lines > budget)); then
  echo "Over budget. 'g++ -H' shows who includes what." >&2
  exit 1
fi
