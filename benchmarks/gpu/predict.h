// What training steps of common networks cost by their form, and predictions of their time.
#pragma once

#include <string>

namespace workload {

/// Lowers each network whose name contains `filter` for the default device, runs nothing, and
/// prints Markdown. @param launches each piece of work too, equal ones together.
void predict(const std::string& filter, bool launches);

}  // namespace workload
