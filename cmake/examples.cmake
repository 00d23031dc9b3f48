# Each folder of examples/ is one program, named after the folder.
find_package(CLI11 REQUIRED)

file(GLOB folders CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/examples/*")
foreach(folder IN LISTS folders)
  get_filename_component(name "${folder}" NAME)
  linnet_glob(sources FOLDERS "examples/${name}")
  if(sources)
    set(program "${name}")
    if(TARGET "${name}")  # the library
      set(name "${name}_program")
    endif()
    add_executable(${name} ${sources})
    set_target_properties(${name} PROPERTIES OUTPUT_NAME "${program}")
    target_include_directories(${name} PRIVATE "${PROJECT_SOURCE_DIR}")
    target_link_libraries(${name} PRIVATE linnet::linnet linnet_report CLI11::CLI11 linnet_flags)
  endif()
endforeach()
