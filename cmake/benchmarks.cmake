# Each folder of benchmarks/ is one program, linnet_bench_<folder>. benchmarks/gpu needs nothing else,
# so that it can be carried to a machine with a card. benchmarks/peer does the same work in libtorch
# and is built where that is installed, without Linnet: run.sh runs the two in turns.
find_package(benchmark QUIET)
if(NOT benchmark_FOUND)
  message(STATUS "Google Benchmark was not found: the benchmarks are left out")
  return()
endif()

file(GLOB folders CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/benchmarks/*")
list(REMOVE_ITEM folders "${PROJECT_SOURCE_DIR}/benchmarks/gpu" "${PROJECT_SOURCE_DIR}/benchmarks/peer")
foreach(folder IN LISTS folders)
  get_filename_component(area "${folder}" NAME)
  linnet_glob(sources FOLDERS "benchmarks/${area}")
  if(sources)
    add_executable(linnet_bench_${area} ${sources})
    target_include_directories(linnet_bench_${area} PRIVATE "${PROJECT_SOURCE_DIR}")
    target_link_libraries(linnet_bench_${area} PRIVATE
      linnet::linnet OneDNN::OneDNN Highway::hwy fmt::fmt OpenMP::OpenMP_CXX
      benchmark::benchmark_main benchmark::benchmark linnet_flags)
  endif()
endforeach()

if(LINNET_WITH_CUDA)
  linnet_glob(sources FOLDERS benchmarks/gpu)
  add_executable(linnet_bench_gpu ${sources})
  target_include_directories(linnet_bench_gpu PRIVATE "${PROJECT_SOURCE_DIR}")
  target_link_libraries(linnet_bench_gpu PRIVATE linnet::linnet linnet_flags)
endif()

find_package(Torch QUIET)
if(Torch_FOUND)
  linnet_glob(sources FOLDERS benchmarks/peer)
  add_executable(linnet_bench_peer ${sources})
  target_include_directories(linnet_bench_peer PRIVATE "${PROJECT_SOURCE_DIR}")
  target_link_libraries(linnet_bench_peer PRIVATE
    ${TORCH_LIBRARIES} benchmark::benchmark_main benchmark::benchmark)
endif()
