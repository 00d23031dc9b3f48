#!/usr/bin/env bash
# Compiles with another compiler, clang, what CMake gives to GCC; the two link with each other, under
# the sanitizers too, whose runtimes have one interface. A compiler launcher:
# other_compiler.sh CLANG GCC [LAUNCHER…] GCC OPTION…
set -euo pipefail
other=$1 given=$2
shift 2

command=()
before="" output="" is_header=false
for argument in "$@"; do
  [[ $before == -o ]] && output=$argument
  before=$argument
  case $argument in
    "$given") command+=("$other") ;;
    -Og) command+=(-O0) ;;  # clang's optimises what a sanitizer adds, for three times as long
    --param=asan-instrumentation-with-call-threshold=*)
      command+=(-mllvm "-asan-instrumentation-with-call-threshold=${argument##*=}") ;;
    --param=*) ;;
    c++-header)
      is_header=true
      command+=("$argument" -fpch-instantiate-templates) ;;  # once, not in every file
    -fsanitize=*address*)
      # Callers of other languages' interfaces (DLPack, CUDA) name their arguments' types as they like.
      command+=("$argument" -D__SANITIZE_ADDRESS__=1 -fno-sanitize=function) ;;
    # Its own calls for copies are not in GCC's runtime, which watches memcpy and memset themselves.
    -fsanitize=*thread*)
      command+=("$argument" -D__SANITIZE_THREAD__=1 -mllvm -tsan-instrument-memintrinsics=0) ;;
    *) command+=("$argument") ;;
  esac
done
# One that GCC has made would be read.
if $is_header; then rm -f "$output"; fi
exec "${command[@]}"
