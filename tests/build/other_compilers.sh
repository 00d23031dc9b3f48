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

check() { "$compiler" "${flags[@]}" -fsyntax-only -x c++ "$1" || { echo "$compiler: $1" >&2 && return 255; }; }
export -f check
export compiler
# Arrays cannot be exported.
run() { xargs -P "$(nproc)" -I{} bash -c "flags=(${flags[*]}); $1 {}"; }

"$compiler" --version | head -n 1
find examples tests/package -name '*.cpp' | run check
if $each; then
  tests/build/headers_alone.py "$compiler" "${flags[@]}" -- "${folders[@]}"
else
  echo '#include <linnet/linnet.h>' | "$compiler" "${flags[@]}" -fsyntax-only -x c++ -
fi
echo "no warnings"
