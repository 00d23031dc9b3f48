# The CUDA back end: finds the toolkit, compiles kernels to fat binaries and embeds them. Nothing of
# CUDA is linked: driver and libraries are loaded at run time (kernels/cuda/driver).
#
# LINNET_CUDA is AUTO (built if everything is found), ON (an error says what is missing) or OFF.
# Afterwards LINNET_WITH_CUDA says whether it is built, and LINNET_CUDA_REASON why not.
set(LINNET_CUDA AUTO CACHE STRING "Build the CUDA back end: AUTO, ON or OFF")
set(LINNET_CUDA_ARCHITECTURES "80;90a" CACHE STRING "Architectures of the embedded kernels; the last also as PTX, unless it ends in -real")
set(LINNET_CUDA_PATH "" CACHE PATH "Folder of the CUDA toolkit, if it is not found by itself")

set(LINNET_WITH_CUDA OFF)
set(LINNET_CUDA_REASON "")

function(linnet_find_cuda)
  if(NOT LINNET_CUDA)
    set(LINNET_CUDA_REASON "LINNET_CUDA is OFF" PARENT_SCOPE)
    return()
  endif()
  file(GLOB python_parts "${PROJECT_SOURCE_DIR}/build/cuda/nvidia/*" "${PROJECT_SOURCE_DIR}/build/cuda/nvidia")
  set(places "${LINNET_CUDA_PATH}" "$ENV{CUDA_PATH}" "$ENV{CUDA_HOME}" "${PROJECT_SOURCE_DIR}/build/cuda" /usr/local/cuda)
  find_program(LINNET_NVCC nvcc HINTS ${places} ${python_parts} PATH_SUFFIXES bin)
  if(NOT LINNET_NVCC)
    set(LINNET_CUDA_REASON "nvcc was not found" PARENT_SCOPE)
    return()
  endif()
  execute_process(COMMAND "${LINNET_NVCC}" --version OUTPUT_VARIABLE text ERROR_QUIET)
  string(REGEX MATCH "release ([0-9]+\\.[0-9]+)" matched "${text}")
  set(version "${CMAKE_MATCH_1}")
  if(NOT version OR version VERSION_LESS 12.4)
    set(LINNET_CUDA_REASON "${LINNET_NVCC} is of version '${version}', 12.4 is needed" PARENT_SCOPE)
    return()
  endif()
  get_filename_component(real "${LINNET_NVCC}" REALPATH)
  get_filename_component(bin "${real}" DIRECTORY)
  list(APPEND places "${bin}/..")
  foreach(header cuda.h nvrtc.h cublasLt.h cudnn.h cudnn_frontend.h)
    string(MAKE_C_IDENTIFIER "LINNET_CUDA_${header}" variable)
    find_path(${variable} ${header} HINTS ${places} ${python_parts} PATH_SUFFIXES include)
    if(NOT ${variable})
      set(LINNET_CUDA_REASON "${header} was not found (scripts/setup-cuda gets what is missing)" PARENT_SCOPE)
      return()
    endif()
    list(APPEND includes "${${variable}}")
  endforeach()
  list(REMOVE_DUPLICATES includes)
  foreach(folder "${bin}/../lib64" "${bin}/../lib")
    if(EXISTS "${folder}")
      get_filename_component(folder "${folder}" REALPATH)
      set(LINNET_CUDA_LIBRARY_FOLDER "${folder}" PARENT_SCOPE)
      break()
    endif()
  endforeach()
  set(LINNET_CUDA_INCLUDES "${includes}" PARENT_SCOPE)
  set(LINNET_CUDA_VERSION "${version}" PARENT_SCOPE)
  set(LINNET_WITH_CUDA ON PARENT_SCOPE)
endfunction()

linnet_find_cuda()
if(LINNET_WITH_CUDA)
  message(STATUS "CUDA back end: toolkit ${LINNET_CUDA_VERSION} (${LINNET_NVCC}), architectures ${LINNET_CUDA_ARCHITECTURES}")
elseif(LINNET_CUDA AND NOT LINNET_CUDA STREQUAL "AUTO")
  message(FATAL_ERROR "LINNET_CUDA=${LINNET_CUDA}, but ${LINNET_CUDA_REASON}")
else()
  message(STATUS "CUDA back end: not built: ${LINNET_CUDA_REASON}")
endif()

# Compiles every .cu file below kernels/cuda to a fat binary, and adds a source to TARGET in which all
# of them are embedded.
function(linnet_embed_kernels target)
  file(GLOB_RECURSE kernels CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/kernels/cuda/*.cu")
  set(folder "${PROJECT_BINARY_DIR}/cuda")
  file(MAKE_DIRECTORY "${folder}")
  set(codes)
  foreach(architecture IN LISTS LINNET_CUDA_ARCHITECTURES)
    string(REPLACE "-real" "" real "${architecture}")
    list(APPEND codes "-gencode=arch=compute_${real},code=sm_${real}")
    set(last "${architecture}")
  endforeach()
  if(NOT last MATCHES "-real$")
    string(REGEX REPLACE "[a-z]" "" generic "${last}")
    list(APPEND codes "-gencode=arch=compute_${generic},code=compute_${generic}")
  endif()
  set(text "// Generated: the kernels of the CUDA back end.\n#include <cstddef>\n")
  set(rows)
  set(binaries)
  foreach(kernel IN LISTS kernels)
    get_filename_component(name "${kernel}" NAME_WE)
    if(LINNET_SANITIZE)
      # Sanitized builds run on the emulated device alone, which has kernels of its own.
      string(APPEND rows "    {\"${name}\", sanitized, sanitized + sizeof sanitized},\n")
      continue()
    endif()
    set(binary "${folder}/${name}.fatbin")
    add_custom_command(
      OUTPUT "${binary}"
      # The words of ptxas go to a file; they are shown if the compilation fails.
      COMMAND sh -c [=["$@" > "$0" 2>&1 || { cat "$0"; exit 1; }]=] "${binary}.log"
              ${LINNET_CCACHE} "${LINNET_NVCC}" -std=c++20 -O3 --fatbin ${codes} -Xptxas -v
              -MD -MF "${binary}.d" -I "${PROJECT_SOURCE_DIR}" -I "${PROJECT_SOURCE_DIR}/core/include"
              "${kernel}" -o "${binary}"
      DEPENDS "${kernel}" DEPFILE "${binary}.d"
      COMMENT "Compiling kernels ${name}.cu" VERBATIM)
    list(APPEND binaries "${binary}")
    string(APPEND text "asm(\".section .rodata\\n.balign 64\\nlinnet_cuda_${name}_begin: .incbin \\\"${binary}\\\"\\n\"\n"
                       "    \"linnet_cuda_${name}_end: .byte 0\\n.text\\n\");\n"
                       "extern \"C\" const unsigned char linnet_cuda_${name}_begin[], linnet_cuda_${name}_end[];\n")
    string(APPEND rows "    {\"${name}\", linnet_cuda_${name}_begin, linnet_cuda_${name}_end},\n")
  endforeach()
  string(APPEND text "#include \"kernels/cuda/launch/modules.h\"\nnamespace linnet::cuda {\n"
                     "[[maybe_unused]] static const unsigned char sanitized[] = \"no kernels in sanitized builds\";\n"
                     "static const EmbeddedModule modules[] = {\n${rows}    {}};\n"
                     "std::span<const EmbeddedModule> embedded_modules() { return {modules, std::size(modules) - 1}; }\n"
                     "}  // namespace linnet::cuda\n")
  file(CONFIGURE OUTPUT "${folder}/modules.cpp" CONTENT "${text}" @ONLY)
  set_source_files_properties("${folder}/modules.cpp" PROPERTIES OBJECT_DEPENDS "${binaries}")
  target_sources(${target} PRIVATE "${folder}/modules.cpp")
endfunction()

# Adds a source to TARGET that holds the texts which generated kernels include.
function(linnet_embed_texts target)
  file(GLOB texts CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/kernels/scalar/*_inl.h"
       "${PROJECT_SOURCE_DIR}/kernels/cuda/device/*.h" "${PROJECT_SOURCE_DIR}/kernels/cuda/jit/cluster*.h")
  set(code "// Generated: the texts that generated kernels include.\n#include \"kernels/cuda/jit/texts.h\"\n")
  set(rows)
  foreach(text IN LISTS texts)
    file(RELATIVE_PATH name "${PROJECT_SOURCE_DIR}" "${text}")
    string(MAKE_C_IDENTIFIER "linnet_text_${name}" symbol)
    string(APPEND code "asm(\".section .rodata\\n${symbol}: .incbin \\\"${text}\\\"\\n.byte 0\\n.text\\n\");\n"
                       "extern \"C\" const char ${symbol}[];\n")
    string(APPEND rows "    {\"${name}\", ${symbol}},\n")
  endforeach()
  string(APPEND code "namespace linnet::cuda {\nstatic const EmbeddedText texts[] = {\n${rows}};\n"
                     "std::span<const EmbeddedText> embedded_texts() { return texts; }\n}  // namespace linnet::cuda\n")
  set(file "${PROJECT_BINARY_DIR}/cuda/texts.cpp")
  file(CONFIGURE OUTPUT "${file}" CONTENT "${code}" @ONLY)
  set_source_files_properties("${file}" PROPERTIES OBJECT_DEPENDS "${texts}")
  target_sources(${target} PRIVATE "${file}")
endfunction()
