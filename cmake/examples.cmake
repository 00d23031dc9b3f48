# Each folder of examples/ is one program, named after the folder.
find_package(CLI11 REQUIRED)

file(GLOB folders CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/examples/*")
foreach(folder IN LISTS folders)
  get_filename_component(name "${folder}" NAME)
  linnet_glob(sources FOLDERS "examples/${name}")
  if(sources)
    add_executable(${name} ${sources})
    target_include_directories(${name} PRIVATE "${PROJECT_SOURCE_DIR}")
    target_link_libraries(${name} PRIVATE linnet::linnet linnet_report CLI11::CLI11 linnet_flags)
  endif()
endforeach()
