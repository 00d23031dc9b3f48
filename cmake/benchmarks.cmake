# The sides of benchmarks/peers: only on demand, by `--target linnet_peers`, since they take a minute to
# compile and only its `run` uses them.
function(linnet_peers_side name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "FOLDERS;LIBRARIES")
  linnet_glob(sources FOLDERS ${arg_FOLDERS})
  add_executable(linnet_peers_${name} EXCLUDE_FROM_ALL ${sources})
  target_include_directories(linnet_peers_${name} PRIVATE "${PROJECT_SOURCE_DIR}")
  target_link_libraries(linnet_peers_${name} PRIVATE ${arg_LIBRARIES})
  add_dependencies(linnet_peers linnet_peers_${name})
endfunction()

add_custom_target(linnet_peers)
linnet_peers_side(linnet FOLDERS benchmarks/peers/harness benchmarks/peers/linnet
  LIBRARIES linnet::linnet OpenMP::OpenMP_CXX linnet_flags)
linnet_peers_side(cold FOLDERS benchmarks/peers/cold_start LIBRARIES linnet::linnet linnet_flags)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  find_package(Threads REQUIRED)
  linnet_peers_side(peaks FOLDERS benchmarks/peers/peaks LIBRARIES Threads::Threads)
  target_compile_features(linnet_peers_peaks PRIVATE cxx_std_20)
  target_compile_options(linnet_peers_peaks PRIVATE -march=native -Wall -Wextra -Wno-ignored-attributes)
endif()

find_package(Torch QUIET)
if(Torch_FOUND)
  linnet_peers_side(libtorch FOLDERS benchmarks/peers/harness benchmarks/peers/libtorch
    LIBRARIES ${TORCH_LIBRARIES})
  target_compile_features(linnet_peers_libtorch PRIVATE cxx_std_20)
endif()

# Each other folder of benchmarks/ is one program, linnet_bench_<folder>. benchmarks/gpu needs nothing
# else, so that it can be carried to a machine with a card. benchmarks/libtorch does the works of
# benchmarks/ops in libtorch and is built where that is installed: run.sh runs the two in turns.
find_package(benchmark QUIET)
if(NOT benchmark_FOUND)
  message(STATUS "Google Benchmark was not found: the benchmarks are left out")
  return()
endif()

file(GLOB folders CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/benchmarks/*")
list(REMOVE_ITEM folders "${PROJECT_SOURCE_DIR}/benchmarks/gpu" "${PROJECT_SOURCE_DIR}/benchmarks/libtorch"
  "${PROJECT_SOURCE_DIR}/benchmarks/peers")
foreach(folder IN LISTS folders)
  get_filename_component(area "${folder}" NAME)
  linnet_glob(sources FOLDERS "benchmarks/${area}")
  if(sources)
    add_executable(linnet_bench_${area} ${sources})
    target_include_directories(linnet_bench_${area} PRIVATE "${PROJECT_SOURCE_DIR}")
    target_link_libraries(linnet_bench_${area} PRIVATE
      linnet::linnet OneDNN::OneDNN Highway::hwy fmt::fmt OpenMP::OpenMP_CXX
      benchmark::benchmark_main benchmark::benchmark linnet_flags)
    linnet_little_optimisation(linnet_bench_${area})
  endif()
endforeach()

if(LINNET_WITH_CUDA)
  linnet_glob(sources FOLDERS benchmarks/gpu)
  add_executable(linnet_bench_gpu ${sources})
  target_include_directories(linnet_bench_gpu PRIVATE "${PROJECT_SOURCE_DIR}")
  target_link_libraries(linnet_bench_gpu PRIVATE linnet::linnet linnet_flags)
  linnet_little_optimisation(linnet_bench_gpu)
endif()

if(Torch_FOUND)
  linnet_glob(sources FOLDERS benchmarks/libtorch)
  add_executable(linnet_bench_libtorch ${sources})
  target_include_directories(linnet_bench_libtorch PRIVATE "${PROJECT_SOURCE_DIR}")
  target_link_libraries(linnet_bench_libtorch PRIVATE
    ${TORCH_LIBRARIES} benchmark::benchmark_main benchmark::benchmark)
endif()
