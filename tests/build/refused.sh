#!/usr/bin/env bash
# What must not compile does not, and the first error is the one that helps: the file says which.
# refused.sh COMPILER SOURCE_DIR INCLUDE_DIR...
set -euo pipefail
compiler=$1
sources=$2
shift 2
flags=(-std=c++20)
for folder in "$@"; do flags+=("-I$folder"); done

# What all of them begin with, once.
compiled=$(mktemp -d)
trap 'rm -rf "$compiled"' EXIT
echo '#include <linnet/linnet.h>' >"$compiled/linnet.h"
"$compiler" "${flags[@]}" -x c++-header "$compiled/linnet.h" -o "$compiled/linnet.h.gch"
flags+=(-fsyntax-only -include "$compiled/linnet.h")

failed=0
for source in "$sources"/*.cpp; do
  if messages=$("$compiler" "${flags[@]}" "$source" 2>&1); then
    echo "$source compiles"
    failed=1
    continue
  fi
  # The first error and what belongs to it, up to the second.
  first=$(awk '/error:/ && ++n == 2 {exit} {print}' <<<"$messages")
  while read -r expected; do
    if [[ $first != *"$expected"* ]]; then
      printf '%s: the first error does not say "%s":\n' "$source" "$expected"
      head -n 8 <<<"$messages"
      failed=1
    fi
  done < <(sed -n 's|^// expect: ||p' "$source")
done
exit $failed
