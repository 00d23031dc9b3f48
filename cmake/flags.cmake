# linnet_flags carries what every target of this project is compiled with and no user of it is.
if(CMAKE_BUILD_TYPE STREQUAL "Debug")
  set(debug_build ON)
else()
  set(debug_build OFF)
endif()
option(LINNET_EXPENSIVE_CHECKS "Verify graphs and invariants after every step" ${debug_build})

add_library(linnet_flags INTERFACE)
target_compile_features(linnet_flags INTERFACE cxx_std_20)

# -ffp-contract=off: the same source gives the same bits whether or not the target has fused
# multiply-add; kernels ask for it by name. -fno-math-errno changes no value: it lets sqrt and its
# like become instructions.
target_compile_options(linnet_flags INTERFACE
  -Wall -Wextra -ffp-contract=off -fno-math-errno)

# A file of this project needs more than a gigabyte in GCC, whose collector starts at 128 MB and then
# takes a sixth of the time.
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  target_compile_options(linnet_flags INTERFACE
    --param=ggc-min-heapsize=800000 --param=ggc-min-expand=100)
endif()

if(LINNET_EXPENSIVE_CHECKS)
  target_compile_definitions(linnet_flags INTERFACE LINNET_EXPENSIVE_CHECKS=1)
endif()

# A program whose time nobody takes in a fast build: it is built to see that it can be.
function(linnet_little_optimisation name)
  if(LINNET_FAST_BUILD)
    target_compile_options(${name} PRIVATE -O1)
  endif()
endfunction()

if(LINNET_SANITIZE)
  set(sanitize -fsanitize=${LINNET_SANITIZE} -fno-omit-frame-pointer)
  if(LINNET_SANITIZE MATCHES "undefined")
    list(APPEND sanitize -fno-sanitize-recover=undefined)
  endif()
  # Highway's baseline for clang is an emulation whose masked loads read behind the end of an array.
  if(NOT CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    message(FATAL_ERROR "LINNET_SANITIZE=${LINNET_SANITIZE}: kernels need GCC, the compiler is "
      "${CMAKE_CXX_COMPILER_ID}; clang can compile the rest (LINNET_OTHER_COMPILER)")
  endif()
  # A sanitized program runs where it is built: no kernels that this processor cannot run.
  if(EXISTS /proc/cpuinfo)
    file(STRINGS /proc/cpuinfo found REGEX "^flags.* avx512f " LIMIT_COUNT 1)
    if(NOT found)
      target_compile_definitions(linnet_flags INTERFACE LINNET_WITHOUT_AVX512=1)
    endif()
  endif()
  target_compile_options(linnet_flags INTERFACE ${sanitize})
  target_link_options(linnet_flags INTERFACE ${sanitize})
endif()

# What a sanitizer adds to templates costs most of their compilation: here checks of memory are calls, and
# only cheap optimisations follow. That halves it, for kernels too.
add_library(linnet_light_flags INTERFACE)
set(linnet_light_checks "")
if(LINNET_SANITIZE)
  if(LINNET_SANITIZE MATCHES "address")
    set(linnet_light_checks --param=asan-instrumentation-with-call-threshold=0)
  endif()
  target_compile_options(linnet_light_flags INTERFACE -Og ${linnet_light_checks})
endif()
