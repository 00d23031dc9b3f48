// Texts about names: lists, and the name that was probably meant.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace linnet {

/// `('x', 'y')`, with the comma that a tuple of one has.
std::string tuple_text(const std::vector<std::string>& names);
/// `'x'`, with quotes and backslashes inside marked by a backslash.
std::string quoted(std::string_view name);
/// `\n  hint: did you mean 'x'?` if one of `names` is near, else empty.
std::string nearest_hint(std::string_view name, const std::vector<std::string>& names);

}  // namespace linnet
