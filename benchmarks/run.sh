#!/bin/sh
# Runs Linnet's benchmarks and, where it was built, the same operations in libtorch, in turns, and writes a table.
# Whole works beside PyTorch, JAX and MLX are measured by benchmarks/peers/run.
#
#   benchmarks/run.sh BUILD_DIRECTORY [ROUNDS [FILTER]] > benchmarks/results/DATE-cpu.md
#
# BUILD_DIRECTORY holds bin/linnet_bench_ops, bin/linnet_bench_models and perhaps bin/linnet_bench_libtorch.
# Rounds go Linnet, peer, peer, Linnet, …; the table gives medians over them (five by default) and ratios of
# neighbouring runs. FILTER is a regular expression on benchmark names.
#
# The peer runs as its users would tune it: OpenBLAS with the kernels of a processor it knows and on OpenMP
# (two thread pools fight otherwise), and a malloc that does not give memory back after each step.
set -eu

build=$1
rounds=${2:-5}
filter=${3:-.}
min_time=${LINNET_BENCH_MIN_TIME:-0.1}
here=$(dirname "$0")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

blas=/usr/lib/$(uname -m)-linux-gnu/openblas-openmp/libopenblas.so.0
[ -e "$blas" ] || blas=

# run PROGRAM THREADS OUTPUT [VARIABLE=VALUE…]
run() {
  program=$1 threads=$2 output=$3
  shift 3
  # Benchmarks that do not name a number of threads use one, and belong to the runs with one.
  names=$(env OMP_NUM_THREADS="$threads" "$@" "$program" --benchmark_list_tests --benchmark_filter="$filter" |
    awk -v threads="$threads" '/threads:/ ? $0 ~ "threads:" threads "(/|$)" : threads == 1' |
    sed 's/[^A-Za-z0-9_]/./g' | paste -s -d '|')
  [ -n "$names" ] || return 0
  env OMP_NUM_THREADS="$threads" "$@" "$program" --benchmark_filter="^($names)\$" \
    --benchmark_min_time="$min_time" --benchmark_out="$output" --benchmark_out_format=json >/dev/null 2>&1
}

# On one thread a program times Linnet and the bare kernel in turns; on two each has a process of its own
# (support/paired.h).
run_linnet() {
  for threads in 1 2; do
    for part in ops models; do
      run "$build/bin/linnet_bench_$part" "$threads" "$work/linnet-$1-$threads-$part.json"
    done
  done
  run "$build/bin/linnet_bench_ops" 2 "$work/bare-$1-2-ops.json" LINNET_BENCH_SIDE=bare
}

run_peer() {
  [ -x "$build/bin/linnet_bench_libtorch" ] || return 0
  for threads in 1 2; do
    run "$build/bin/linnet_bench_libtorch" "$threads" "$work/peer-$1-$threads-all.json" \
      OPENBLAS_CORETYPE=SkylakeX ${blas:+LD_PRELOAD="$blas"} MALLOC_MMAP_THRESHOLD_=4294967295 \
      MALLOC_TRIM_THRESHOLD_=8589934592 MALLOC_TOP_PAD_=67108864
  done
}

round=1
while [ "$round" -le "$rounds" ]; do
  echo "round $round of $rounds, load $(cut -d ' ' -f 1-3 /proc/loadavg)" >&2
  if [ $((round % 2)) -eq 1 ]; then
    run_linnet "$round"
    run_peer "$round"
  else
    run_peer "$round"
    run_linnet "$round"
  fi
  round=$((round + 1))
done

LINNET_COMMIT=$(git -C "$here" rev-parse --short HEAD 2>/dev/null || echo unknown) \
  python3 "$here/report.py" "$work"
