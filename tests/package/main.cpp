#include <linnet/linnet.h>

#include <cstdio>
#include <vector>

int main() {
  using namespace linnet;
  auto sum_of_cubes = [](const Tensor& x) { return sum(x * x * x); };
  const std::vector<float> slope = grad(sum_of_cubes)(tensor({1.f, 2.f})).to_vector<float>();
  std::printf("the gradient of the sum of cubes at (1, 2) is (%g, %g)\n", slope[0], slope[1]);
  return slope == std::vector<float>{3.f, 12.f} ? 0 : 1;
}
