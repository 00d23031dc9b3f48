# Everything Linnet is built from. All of it is private to the library: no public header includes
# one of these.
list(PREPEND CMAKE_MODULE_PATH "${CMAKE_CURRENT_LIST_DIR}")

find_package(Threads REQUIRED)
find_package(OpenMP REQUIRED COMPONENTS CXX)
find_package(fmt REQUIRED)
find_package(OneDNN 2.6 REQUIRED)
find_package(Highway REQUIRED)
find_package(ZLIB REQUIRED)
find_package(nlohmann_json REQUIRED)

# Pictures: optional. What is missing is said here, and by the error of who needs it.
find_package(PNG QUIET)
find_package(TurboJPEG QUIET)
set(LINNET_IMAGE_LIBRARIES)
set(LINNET_IMAGE_DEFINITIONS)
if(PNG_FOUND)
  list(APPEND LINNET_IMAGE_LIBRARIES PNG::PNG)
  list(APPEND LINNET_IMAGE_DEFINITIONS LINNET_WITH_PNG=1)
  message(STATUS "Linnet: PNG files are read with libpng ${PNG_VERSION_STRING}")
else()
  message(STATUS "Linnet: PNG files are not read: no libpng (package libpng-dev)")
endif()
if(TurboJPEG_FOUND)
  list(APPEND LINNET_IMAGE_LIBRARIES TurboJPEG::TurboJPEG)
  list(APPEND LINNET_IMAGE_DEFINITIONS LINNET_WITH_JPEG=1)
  message(STATUS "Linnet: JPEG files are read with ${TurboJPEG_LIBRARY}")
else()
  message(STATUS
    "Linnet: JPEG files are not read: no libjpeg-turbo (package libturbojpeg0-dev)")
endif()
