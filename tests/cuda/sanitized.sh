#!/usr/bin/env bash
# Programs of an optimised build on the emulated device, whose kernels a sanitizer watches: kernels and
# driver are those of another build. The product is not instrumented and left alone, which is what other
# tests are for; so the whole operation table takes a minute.
#
#   sanitized.sh thread RELEASE TSAN [argument of the test program…]     races
#   sanitized.sh address RELEASE ASAN [argument…]                        accesses to what is not there
#
# RELEASE, TSAN, ASAN are build folders.
set -euo pipefail

sanitizer=$1 release=$2 build=$3 other=$(realpath "$3/fake_cuda")
shift 3
fake=$(mktemp -d)
trap 'rm -rf "$fake"' EXIT
ln -s "$(realpath "$release/fake_cuda")"/* "$fake"
ln -sf "$other"/{liblinnet_emulated_kernels.so,liblinnet_emulator.so} "$fake"
if [[ $sanitizer == address ]]; then
  ln -sf "$other/libcuda.so.1" "$fake"  # which says what memory is there
fi

# The runtime of the compiler that made them.
compiler=$(sed -n 's/^CMAKE_CXX_COMPILER:[A-Z]*=//p' "$build/CMakeCache.txt")
LD_PRELOAD=$("$compiler" -print-file-name="lib${sanitizer:0:1}san.so") \
  LD_LIBRARY_PATH=$fake LINNET_CUDA_PATH=$fake LINNET_CUDA_CACHE='' \
  OMP_NUM_THREADS=1 \
  TSAN_OPTIONS=halt_on_error=1:ignore_noninstrumented_modules=1 ASAN_OPTIONS=detect_leaks=0:malloc_context_size=5 \
  "$release/bin/linnet_cuda_tests" --gtest_brief=1 "$@"
