// The dictionary at the start of a .npy file. Private.
#pragma once

#include <string>
#include <string_view>

#include "linnet/shape.h"

namespace linnet::npy {

inline constexpr size_t kRankLimit = 64;

struct Header {
  std::string descr;  ///< type string such as "<f4"
  bool is_column_major = false;
  Shape shape;
};

/// Parses `{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }`, which is a literal of the
/// Python language; only the forms that stand in such headers are understood and nothing is
/// evaluated. `name` begins the message of an IoError.
Header parse_header(std::string_view text, const std::string& name);

}  // namespace linnet::npy
