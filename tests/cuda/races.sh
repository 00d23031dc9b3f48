#!/usr/bin/env bash
# Looks for races in kernels while programs use them: the tests of an optimised build on the emulated
# device, whose kernels are those of a build for the thread sanitizer. What is not instrumented is
# left alone: the product's own threads are the business of other tests.
#
#   races.sh RELEASE TSAN [argument of the test program…]     RELEASE, TSAN: build folders
set -euo pipefail

release=$1 kernels=$(realpath "$2/fake_cuda/liblinnet_emulated_kernels.so")
shift 2
fake=$(mktemp -d)
trap 'rm -rf "$fake"' EXIT
ln -s "$(realpath "$release/fake_cuda")"/* "$fake"
ln -sf "$kernels" "$fake"

LD_PRELOAD=$("${CXX:-g++}" -print-file-name=libtsan.so) \
  LD_LIBRARY_PATH=$fake LINNET_CUDA_PATH=$fake LINNET_CUDA_CACHE='' \
  OMP_NUM_THREADS=1 OMP_WAIT_POLICY=passive \
  TSAN_OPTIONS=halt_on_error=1:ignore_noninstrumented_modules=1 \
  "$release/bin/linnet_cuda_tests" --gtest_brief=1 "$@"
