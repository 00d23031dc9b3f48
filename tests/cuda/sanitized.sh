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

sanitizer=$1 release=$2 other=$(realpath "$3/fake_cuda")
shift 3
fake=$(mktemp -d)
trap 'rm -rf "$fake"' EXIT
ln -s "$(realpath "$release/fake_cuda")"/* "$fake"
ln -sf "$other"/{liblinnet_emulated_kernels.so,liblinnet_emulator.so} "$fake"
case $sanitizer in
  thread) runtime=libtsan.so ;;
  address)
    runtime=libasan.so
    ln -sf "$other/libcuda.so.1" "$fake"  # which says what memory is there
    ;;
esac

LD_PRELOAD=$("${CXX:-g++}" -print-file-name="$runtime") \
  LD_LIBRARY_PATH=$fake LINNET_CUDA_PATH=$fake LINNET_CUDA_CACHE='' \
  OMP_NUM_THREADS=1 \
  TSAN_OPTIONS=halt_on_error=1:ignore_noninstrumented_modules=1 ASAN_OPTIONS=detect_leaks=0 \
  "$release/bin/linnet_cuda_tests" --gtest_brief=1 "$@"
