// The text of an error that a piece of code throws.
#pragma once

#include <gtest/gtest.h>

#include <string>

namespace linnet {

/// The message of the error of type E that `f` throws.
template <class E, class F>
std::string message(F&& f) {
  try {
    f();
  } catch (const E& error) {
    return error.what();
  }
  ADD_FAILURE() << "nothing of the expected type was thrown";
  return {};
}

}  // namespace linnet

#define EXPECT_HAS(text, part) EXPECT_NE((text).find(part), std::string::npos) << (text)
