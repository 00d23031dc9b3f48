#!/usr/bin/env bash
# Builds and runs the consumer project in one of the three ways in which Linnet can be used.
# consume.sh find_package|pkgconfig|add_subdirectory SOURCE BUILD WORK GENERATOR BUILD_TYPE CXX LAUNCHER [OPTION…]
set -euo pipefail
way=$1 source=$2 build=$3 work=$4/$1 generator=$5 build_type=$6 cxx=$7 launcher=$8
shift 8

rm -rf "$work"
mkdir -p "$work"
configure=(cmake -S "$source/tests/package" -B "$work/build" -G "$generator"
  "-DCMAKE_BUILD_TYPE=$build_type" "-DCMAKE_CXX_COMPILER=$cxx"
  "-DCMAKE_CXX_COMPILER_LAUNCHER=$launcher")

case $way in
  find_package)
    cmake --install "$build" --prefix "$work/prefix" >/dev/null
    "${configure[@]}" "-DCMAKE_PREFIX_PATH=$work/prefix"
    cmake --build "$work/build"
    "$work/build/consumer"
    ;;
  pkgconfig)
    cmake --install "$build" --prefix "$work/prefix" >/dev/null
    pc=$(find "$work/prefix" -name linnet.pc)
    export PKG_CONFIG_PATH=${pc%/*}
    read -ra options <<<"$(pkg-config --cflags --libs linnet)"
    "$cxx" "$source/tests/package/main.cpp" -o "$work/consumer" "${options[@]}"
    LD_LIBRARY_PATH="$(dirname "${pc%/*}")${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}" "$work/consumer"
    ;;
  add_subdirectory)
    # The kernels of one architecture are enough to see that they are found and embedded. With the
    # options of the other build the library's files are the same, and a compiler cache knows them.
    "${configure[@]}" "-DLINNET_SOURCE=$source" -DLINNET_CUDA_ARCHITECTURES=90a-real "-DLINNET_CCACHE=$launcher" "$@"
    cmake --build "$work/build" --target consumer
    "$work/build/consumer"
    ;;
  *)
    echo "consume.sh: unknown way '$way'" >&2
    exit 2
    ;;
esac
