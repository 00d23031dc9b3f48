# Installs the libraries, the public headers, the CMake package and the pkg-config file.
include(CMakePackageConfigHelpers)
set(package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/linnet")

install(TARGETS linnet linnet_core linnet_modules linnet_bridge EXPORT linnetTargets)
install(EXPORT linnetTargets NAMESPACE linnet:: DESTINATION "${package_dir}")

foreach(component core kernels modules bridge)
  if(EXISTS "${PROJECT_SOURCE_DIR}/${component}/include")
    install(DIRECTORY "${component}/include/" DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}"
            FILES_MATCHING PATTERN "*.h")
  endif()
endforeach()

configure_package_config_file(cmake/linnetConfig.cmake.in "${PROJECT_BINARY_DIR}/linnetConfig.cmake"
                              INSTALL_DESTINATION "${package_dir}")
# Before 1.0 each minor version may change the interface.
write_basic_package_version_file("${PROJECT_BINARY_DIR}/linnetConfigVersion.cmake"
                                 COMPATIBILITY SameMinorVersion)
install(FILES
  "${PROJECT_BINARY_DIR}/linnetConfig.cmake" "${PROJECT_BINARY_DIR}/linnetConfigVersion.cmake"
  cmake/FindOneDNN.cmake cmake/FindHighway.cmake cmake/FindTurboJPEG.cmake
  DESTINATION "${package_dir}")

# Static archives have to be followed by what they need, in this order.
set(LINNET_PC_LIBS)
foreach(component bridge modules core)
  get_target_property(type linnet_${component} TYPE)
  if(NOT type STREQUAL "INTERFACE_LIBRARY")
    string(APPEND LINNET_PC_LIBS " -llinnet_${component}")
  endif()
endforeach()
set(LINNET_PC_REQUIRES)
if(NOT BUILD_SHARED_LIBS)
  set(LINNET_PC_REQUIRES "fmt zlib")
  if(PNG_FOUND)
    string(APPEND LINNET_PC_REQUIRES " libpng")
  endif()
  if(TurboJPEG_FOUND)
    string(APPEND LINNET_PC_REQUIRES " libturbojpeg")
  endif()
  get_filename_component(onednn_folder "${OneDNN_LIBRARY}" DIRECTORY)
  get_filename_component(highway_folder "${Highway_LIBRARY}" DIRECTORY)
  string(APPEND LINNET_PC_LIBS " -L${onednn_folder} -ldnnl -L${highway_folder} -lhwy -lgomp -pthread")
endif()
set(pc_dir "${CMAKE_INSTALL_LIBDIR}/pkgconfig")
file(RELATIVE_PATH LINNET_PC_UP "${CMAKE_INSTALL_PREFIX}/${pc_dir}" "${CMAKE_INSTALL_PREFIX}")
configure_file(cmake/linnet.pc.in "${PROJECT_BINARY_DIR}/linnet.pc" @ONLY)
install(FILES "${PROJECT_BINARY_DIR}/linnet.pc" DESTINATION "${pc_dir}")
