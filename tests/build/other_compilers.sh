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
flags=(-std=c++20 -fsyntax-only -Wall -Wextra -Werror -I. -Icore/include -Ikernels/include
  -Imodules/include -Ibridge/include -Ireport/include)

check() { "$compiler" "${flags[@]}" -x c++ "$1" || { echo "$compiler: $1" >&2 && return 255; }; }
check_header() {
  echo "#include \"$1\"" | "$compiler" "${flags[@]}" -x c++ - ||
    { echo "$compiler: $1 alone" >&2 && return 255; }
}
export -f check check_header
export compiler
# Arrays cannot be exported.
run() { xargs -P "$(nproc)" -I{} bash -c "flags=(${flags[*]}); $1 {}"; }

"$compiler" --version | head -n 1
find examples tests/package -name '*.cpp' | run check
echo linnet/linnet.h | run check_header
if $each; then
  find core/include kernels/include modules/include bridge/include report/include -name '*.h' | sort |
    sed 's|^[a-z]*/include/||' | run check_header
fi
echo "no warnings"
