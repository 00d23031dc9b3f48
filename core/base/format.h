// The name that files of the core know linnet/detail/format.h by.
#pragma once

#include "linnet/detail/format.h"
