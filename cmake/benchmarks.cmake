# Each folder of benchmarks/ is one program, linnet_bench_<folder>. The comparison with a GPU
# library needs CUDA and is built by hand.
find_package(benchmark QUIET)
if(NOT benchmark_FOUND)
  message(STATUS "Google Benchmark was not found: the benchmarks are left out")
  return()
endif()

file(GLOB folders CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/benchmarks/*")
list(REMOVE_ITEM folders "${PROJECT_SOURCE_DIR}/benchmarks/gpu")
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
