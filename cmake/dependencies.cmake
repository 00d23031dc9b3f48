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
