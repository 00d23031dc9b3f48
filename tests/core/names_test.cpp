// What programs may name while they are `using namespace linnet`: their own globals and the names
// of the C library.
#include <gtest/gtest.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/select.h>
#include <time.h>
#include <unistd.h>

#include "linnet/core.h"

using namespace linnet;  // NOLINT(build/namespaces)

int cpu = 1, graph = 2, plan = 3, cell = 4, io = 5, loss = 6;

TEST(Names, globals_and_libc_functions_stay_callable) {
  EXPECT_EQ(cpu + graph + plan + cell + io + loss, 21);
  EXPECT_STREQ(index("abc", 'b'), "bc");
  EXPECT_DOUBLE_EQ(pow(2.0, 3.0) + floor(1.5) + abs(-2) + exp(0.0) + log(1.0) + round(0.4), 12);
  EXPECT_GT(time(nullptr), 0);
  EXPECT_GE(::random(), 0) << "linnet::random is a namespace, so this one needs its colons";
  EXPECT_EQ(random::uniform(Key(0), {2}).size(), 2);
  EXPECT_EQ(pow(Tensor(2.0), 3).item<float>(), 8);
}
