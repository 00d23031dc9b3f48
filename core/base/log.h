// The name that files of the core know linnet/detail/log.h by.
#pragma once

#include "linnet/detail/log.h"
