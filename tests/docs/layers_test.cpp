// docs/layers.md is what the headers say.
#include <cstdlib>
#include <fstream>

#include "tests/docs/documents.h"
#include "tests/docs/layers_page.h"

namespace linnet::docs::layers_test {
namespace {

TEST(Layers, the_page_of_layers_is_what_the_headers_say) {
  const std::string page = layers_page();
  const std::string file = std::string(LINNET_TEST_DATA) + "/../docs/layers.md";
  if (std::getenv("LINNET_UPDATE_DOCS")) std::ofstream(file) << page;
  EXPECT_TRUE(read_file("docs/layers.md") == page)
      << "docs/layers.md differs from the headers; to write it again:\n"
         "  LINNET_UPDATE_DOCS=1 build/release/bin/linnet_docs_tests --gtest_filter='*page_of_layers*'";
  for (const char* layer : {"linen::Dense", "nnx::LoRALinear", "linen::ConvLocal", "nnx::SelfAttention",
                            "linen::SpectralNorm", "nnx::Bidirectional", "linen::OptimizedLSTMCell",
                            "nnx::PReLU", "nnx::Sequential", "nnx::Dropout"}) {
    EXPECT_NE(page.find("`" + std::string(layer) + "`"), std::string::npos) << layer;
  }
}

}  // namespace
}  // namespace linnet::docs::layers_test
