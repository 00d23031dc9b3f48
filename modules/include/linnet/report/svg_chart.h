// Line charts as self-contained SVG files.
//
//   Chart chart{.title = "Training"};
//   chart.panels.push_back({.title = "Loss", .x_label = "epoch", .series = {{"train", {0, 1, 2},
//   loss}}}); write_svg("history.svg", chart);
#pragma once

#include <optional>
#include <string>
#include <vector>

#pragma GCC visibility push(default)

namespace linnet {

/// One line: points `(x[i], y[i])`. A point that is not finite interrupts the line.
struct ChartSeries {
  std::string name;
  std::vector<double> x;
  std::vector<double> y;
};

/// One pair of axes.
struct ChartPanel {
  std::string title = {};
  std::string x_label = {};
  std::string y_label = {};
  std::vector<ChartSeries> series = {};
  std::optional<double> y_min = {};  ///< lower end of the axis instead of the smallest value
  std::optional<double> y_max = {};  ///< upper end of the axis instead of the largest value
};

/// Panels side by side under one title.
struct Chart {
  std::string title = {};
  std::vector<ChartPanel> panels = {};
  int panel_width = 460;   ///< pixels
  int panel_height = 320;  ///< pixels
};

/// SVG text. Long series are thinned to what a pixel column can show (first, lowest, highest,
/// last).
/// @throws ValueError if x and y of a series have different lengths, or a panel is smaller than
/// 160 x 120 pixels.
std::string render_svg(const Chart& chart);

/// Writes `render_svg(chart)`, atomically. @throws IoError if the file cannot be written.
void write_svg(const std::string& path, const Chart& chart);

/// About `count` round values (1, 2 or 5 times a power of ten apart) inside `[low, high]`.
/// Both must be finite and `low < high`.
std::vector<double> nice_ticks(double low, double high, int count);

}  // namespace linnet

#pragma GCC visibility pop
