#!/usr/bin/env bash
# An older language gives one error that says what to do, not hundreds from inside the headers.
# language_version.sh COMPILER INCLUDE_DIR...
set -euo pipefail
compiler=$1
shift
flags=(-std=c++17 -fsyntax-only -x c++)
for folder in "$@"; do flags+=("-I$folder"); done

failed=0
for header in linnet core linen nnx optim bridge; do
  messages=$(echo "#include <linnet/$header.h>" | "$compiler" "${flags[@]}" - 2>&1 || true)
  errors=$(grep -c 'error:' <<<"$messages" || true)
  if [[ $errors != 1 || $messages != *"Linnet needs C++20"* ]]; then
    echo "linnet/$header.h in C++17: $errors errors, expected one that says C++20"
    head -n 5 <<<"$messages"
    failed=1
  fi
done
exit $failed
