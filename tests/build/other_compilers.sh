#!/usr/bin/env bash
# Compiles, without warnings and without making anything, what a user's compiler sees: the umbrella
# header and the examples, and with `--each` every public header alone.
# other_compilers.sh [--each] COMPILER
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

each=false
if [[ $1 == --each ]]; then
  each=true
  shift
fi
compiler=$1
folders=(core/include kernels/include modules/include bridge/include report/include)
flags=(-std=c++20 -Wall -Wextra -Werror -I. "${folders[@]/#/-I}")
compiled=$(mktemp -d)
trap 'rm -rf "$compiled"' EXIT

"$compiler" --version | head -n 1
# The umbrella header; programs that include it anyway begin with what was read here.
echo '#include <linnet/linnet.h>' |
  "$compiler" "${flags[@]}" -x c++-header - -o "$compiled/linnet.h.pch"

check() {
  local before=()
  if grep -q '^#include ["<]linnet/linnet.h' "$1"; then before=(-include-pch "$compiled/linnet.h.pch"); fi
  "$compiler" "${flags[@]}" "${before[@]}" -fsyntax-only -x c++ "$1" ||
    { echo "$compiler: $1" >&2 && return 255; }
}
export -f check
export compiler compiled
# Arrays cannot be exported.
find examples tests/package -name '*.cpp' |
  xargs -P "$(nproc)" -I{} bash -c "flags=(${flags[*]}); check {}"

if $each; then
  tests/build/headers_alone.py "$compiler" "${flags[@]}" -- "${folders[@]}"
fi
echo "no warnings"
