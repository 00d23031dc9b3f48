# Each folder of examples/ is one program, named after the folder, and so is each file there.
find_package(CLI11 REQUIRED)

function(linnet_example name)
  set(program "${name}")
  if(TARGET "${name}")  # the library
    set(name "${name}_program")
  endif()
  add_executable(${name} ${ARGN})
  set_target_properties(${name} PROPERTIES OUTPUT_NAME "${program}")
  target_include_directories(${name} PRIVATE "${PROJECT_SOURCE_DIR}")
  target_link_libraries(${name} PRIVATE linnet::linnet linnet_report CLI11::CLI11 linnet_flags)
  linnet_little_optimisation(${name})
endfunction()

file(GLOB folders CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/examples/*")
foreach(folder IN LISTS folders)
  get_filename_component(name "${folder}" NAME)
  linnet_glob(sources FOLDERS "examples/${name}")
  if(sources)
    linnet_example(${name} ${sources})
  endif()
endforeach()
set(LINNET_EXAMPLES sequence_tagger)

# These are run as tests. They spend their time in the library, as tests do, and are optimised as
# little.
file(GLOB files CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/examples/*.cpp")
foreach(file IN LISTS files)
  get_filename_component(name "${file}" NAME_WE)
  linnet_example(${name} "${file}")
  target_compile_options(${name} PRIVATE $<$<CONFIG:Release>:-O1>)
  list(APPEND LINNET_EXAMPLES ${name})
endforeach()
