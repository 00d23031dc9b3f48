# Pictures for the examples: not installed, and the only user of libpng.
find_package(PNG REQUIRED)

linnet_component(linnet_report
  FOLDERS report
  INCLUDE report/include
  PUBLIC linnet_core
  PRIVATE fmt::fmt PNG::PNG)
