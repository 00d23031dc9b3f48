#include "linnet/report/svg_chart.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <iterator>

#include "chart_scale.h"
#include "linnet/error.h"
#include "linnet/io/atomic_file.h"

namespace linnet {
namespace {

using chart::Range;
using chart::Scale;

// Distinct for readers with any of the common kinds of colour blindness (Okabe and Ito, 2008), in
// an order that puts the strongest contrasts first.
constexpr std::array<const char*, 8> kColors = {"#0072B2", "#D55E00", "#009E73", "#CC79A7",
                                                "#E69F00", "#56B4E9", "#7A5C00", "#333333"};
// After all colours are used, lines are told apart by their dashes.
constexpr std::array<const char*, 4> kDashes = {"", "6 3", "2 3", "8 3 2 3"};

constexpr double kLeft = 62, kRight = 16, kBottom = 48, kTitleHeight = 34, kPanelTop = 14;
constexpr double kLegendRow = 18, kCharacterWidth = 6.6;
constexpr size_t kMarkerLimit = 40;

// Point of a series in pixels.
struct Point {
  double x, y;
};

// Text for XML: markup escaped, control characters and malformed UTF-8 replaced.
std::string escape(const std::string& text) {
  std::string result;
  for (char c : text) {
    switch (c) {
      case '&':
        result += "&amp;";
        break;
      case '<':
        result += "&lt;";
        break;
      case '>':
        result += "&gt;";
        break;
      case '"':
        result += "&quot;";
        break;
      default:
        result += static_cast<unsigned char>(c) < 0x20 || c == 0x7F ? ' ' : c;
    }
  }
  return result;
}

bool is_valid_utf8(const std::string& text) {
  size_t i = 0;
  while (i < text.size()) {
    const auto lead = static_cast<unsigned char>(text[i]);
    const size_t extra = lead < 0x80                   ? 0
                         : lead >= 0xC2 && lead < 0xE0 ? 1
                         : lead >= 0xE0 && lead < 0xF0 ? 2
                         : lead >= 0xF0 && lead < 0xF5 ? 3
                                                       : 9;
    if (extra == 9 || i + extra >= text.size()) return false;
    for (size_t k = 1; k <= extra; ++k) {
      if ((static_cast<unsigned char>(text[i + k]) & 0xC0) != 0x80) return false;
    }
    i += extra + 1;
  }
  return true;
}

std::string label(const std::string& text) {
  if (is_valid_utf8(text)) return escape(text);
  std::string ascii = text;
  std::replace_if(
      ascii.begin(), ascii.end(), [](char c) { return static_cast<unsigned char>(c) >= 0x80; },
      '?');
  return escape(ascii);
}

const char* color_of(size_t index) { return kColors[index % kColors.size()]; }
const char* dash_of(size_t index) { return kDashes[index / kColors.size() % kDashes.size()]; }

// Of the points in one pixel column only the first, lowest, highest and last can be seen.
std::vector<Point> thinned(const std::vector<Point>& points) {
  std::vector<Point> result;
  size_t begin = 0;
  while (begin < points.size()) {
    size_t end = begin + 1;
    while (end < points.size() && std::floor(points[end].x) == std::floor(points[begin].x)) ++end;
    if (end - begin <= 4) {
      result.insert(result.end(), points.begin() + static_cast<std::ptrdiff_t>(begin),
                    points.begin() + static_cast<std::ptrdiff_t>(end));
    } else {
      size_t lowest = begin, highest = begin;
      for (size_t i = begin; i < end; ++i) {
        if (points[i].y < points[lowest].y) lowest = i;
        if (points[i].y > points[highest].y) highest = i;
      }
      std::array<size_t, 4> kept = {begin, std::min(lowest, highest), std::max(lowest, highest),
                                    end - 1};
      for (size_t i = 0; i < kept.size(); ++i) {
        if (i == 0 || kept[i] != kept[i - 1]) result.push_back(points[kept[i]]);
      }
    }
    begin = end;
  }
  return result;
}

class PanelWriter {
 public:
  PanelWriter(std::string& out, const ChartPanel& panel, double x, double y, double width,
              double height, size_t clip)
      : out_(out), panel_(panel), left_(x + kLeft), right_(x + width - kRight), clip_(clip) {
    const double title_bottom = y + kPanelTop + (panel.title.empty() ? 0 : 14);
    top_ = title_bottom + legend_height() + 6;
    bottom_ = std::max(y + height - kBottom, top_ + 30);
    title_baseline_ = title_bottom - 2;
  }

  void write() {
    chart::RangeFinder x_values, y_values;
    for (const ChartSeries& series : panel_.series) {
      for (size_t i = 0; i < series.x.size(); ++i) {
        if (!std::isfinite(series.x[i]) || !std::isfinite(series.y[i])) continue;
        x_values.add(series.x[i]);
        y_values.add(series.y[i]);
      }
    }
    const Scale x(x_values.range(0.0), left_, right_);
    const Scale y(y_range(y_values.range(0.04)), bottom_, top_);
    write_titles();
    write_axes(x, y);
    write_legend();
    if (x_values.is_empty()) {
      emit("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"middle\" class=\"m\">no data</text>\n",
           (left_ + right_) / 2, (top_ + bottom_) / 2);
    }
    emit(
        "<clipPath id=\"clip{}\"><rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" "
        "height=\"{:.1f}\"/></clipPath>\n",
        clip_, left_ - 3, top_ - 3, right_ - left_ + 6, bottom_ - top_ + 6);
    emit(
        "<g clip-path=\"url(#clip{})\" fill=\"none\" stroke-width=\"1.8\" "
        "stroke-linejoin=\"round\">\n",
        clip_);
    for (size_t i = 0; i < panel_.series.size(); ++i) write_series(i, x, y);
    out_ += "</g>\n";
  }

 private:
  template <class... Args>
  void emit(fmt::format_string<Args...> format, Args&&... args) {
    fmt::format_to(std::back_inserter(out_), format, std::forward<Args>(args)...);
  }

  Range y_range(Range range) const {
    // A given end that is not finite or would leave no range is of no use.
    if (panel_.y_min && std::isfinite(*panel_.y_min)) range.low = *panel_.y_min;
    if (panel_.y_max && std::isfinite(*panel_.y_max)) range.high = *panel_.y_max;
    if (!(range.low < range.high) || !std::isfinite(range.high - range.low)) {
      chart::RangeFinder both;
      both.add(range.low);
      both.add(range.high);
      return both.range(0.05);
    }
    return range;
  }

  double entry_width(const ChartSeries& series) const {
    return 30 + kCharacterWidth * static_cast<double>(series.name.size());
  }

  // Calls `place(index, x, row)` for every named series and returns the number of rows.
  template <class Place>
  int arrange_legend(Place&& place) const {
    double x = left_;
    int row = 0;
    bool is_empty = true;
    for (size_t i = 0; i < panel_.series.size(); ++i) {
      if (panel_.series[i].name.empty()) continue;
      const double width = entry_width(panel_.series[i]);
      if (x > left_ && x + width > right_) {
        x = left_;
        ++row;
      }
      place(i, x, row);
      x += width;
      is_empty = false;
    }
    return is_empty ? 0 : row + 1;
  }
  double legend_height() const {
    return kLegendRow * arrange_legend([](size_t, double, int) {});
  }

  void write_legend() {
    const double first = top_ - 4 - legend_height() + 12;
    arrange_legend([&](size_t i, double x, int row) {
      const double y = first + kLegendRow * row;
      emit(
          "<line x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\" stroke=\"{}\" "
          "stroke-width=\"2.5\""
          " stroke-dasharray=\"{}\"/><text x=\"{:.1f}\" y=\"{:.1f}\">{}</text>\n",
          x, y - 4, x + 18, y - 4, color_of(i), *dash_of(i) ? dash_of(i) : "none", x + 22, y,
          label(panel_.series[i].name));
    });
  }

  void write_titles() {
    if (!panel_.title.empty()) {
      emit("<text x=\"{:.1f}\" y=\"{:.1f}\" class=\"p\">{}</text>\n", left_, title_baseline_,
           label(panel_.title));
    }
    if (!panel_.x_label.empty()) {
      emit("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"middle\" class=\"m\">{}</text>\n",
           (left_ + right_) / 2, bottom_ + 36, label(panel_.x_label));
    }
    if (!panel_.y_label.empty()) {
      const double x = left_ - kLeft + 14, y = (top_ + bottom_) / 2;
      emit(
          "<text x=\"{0:.1f}\" y=\"{1:.1f}\" text-anchor=\"middle\" class=\"m\""
          " transform=\"rotate(-90 {0:.1f} {1:.1f})\">{2}</text>\n",
          x, y, label(panel_.y_label));
    }
  }

  void write_axes(const Scale& x, const Scale& y) {
    const auto x_ticks =
        nice_ticks(x.range().low, x.range().high, static_cast<int>((right_ - left_) / 70));
    const auto y_ticks =
        nice_ticks(y.range().low, y.range().high, static_cast<int>((bottom_ - top_) / 32));
    for (double tick : y_ticks) {
      const double pixel = y(tick);
      emit(
          "<path d=\"M{:.1f} {:.1f}H{:.1f}\" stroke=\"#e4e4e4\"/><text x=\"{:.1f}\" y=\"{:.1f}\""
          " text-anchor=\"end\" class=\"m\">{}</text>\n",
          left_, pixel, right_, left_ - 6, pixel + 4, chart::tick_label(tick, step_of(y_ticks)));
    }
    for (double tick : x_ticks) {
      const double pixel = x(tick);
      emit(
          "<path d=\"M{:.1f} {:.1f}v5\" stroke=\"#888\"/><text x=\"{:.1f}\" y=\"{:.1f}\""
          " text-anchor=\"middle\" class=\"m\">{}</text>\n",
          pixel, bottom_, pixel, bottom_ + 18, chart::tick_label(tick, step_of(x_ticks)));
    }
    emit("<path d=\"M{:.1f} {:.1f}V{:.1f}H{:.1f}\" stroke=\"#888\" fill=\"none\"/>\n", left_, top_,
         bottom_, right_);
  }

  static double step_of(const std::vector<double>& ticks) {
    return ticks.size() > 1 ? ticks[1] - ticks[0]
                            : std::max(std::abs(ticks.empty() ? 1.0 : ticks[0]), 1e-300);
  }

  void write_series(size_t index, const Scale& x, const Scale& y) {
    const ChartSeries& series = panel_.series[index];
    std::vector<Point> run;
    for (size_t i = 0; i <= series.x.size(); ++i) {
      const bool is_point =
          i < series.x.size() && std::isfinite(series.x[i]) && std::isfinite(series.y[i]);
      if (is_point) {
        run.push_back({x(series.x[i]), y(series.y[i])});
      } else if (!run.empty()) {
        write_run(run, index, series.x.size() <= kMarkerLimit);
        run.clear();
      }
    }
  }

  void write_run(const std::vector<Point>& run, size_t index, bool has_markers) {
    const std::vector<Point> points = thinned(run);
    if (points.size() > 1) {
      emit("<path stroke=\"{}\"", color_of(index));
      if (*dash_of(index)) emit(" stroke-dasharray=\"{}\"", dash_of(index));
      out_ += " d=\"";
      for (size_t i = 0; i < points.size(); ++i) {
        emit("{}{:.1f} {:.1f}", i == 0 ? "M" : i == 1 ? "L" : " ", points[i].x, points[i].y);
      }
      out_ += "\"/>\n";
    }
    // A lone point has no line and is always marked.
    if (!has_markers && points.size() > 1) return;
    for (const Point& point : points) {
      emit("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"2.4\" fill=\"{}\"/>\n", point.x, point.y,
           color_of(index));
    }
  }

  std::string& out_;
  const ChartPanel& panel_;
  double left_, right_, top_ = 0, bottom_ = 0, title_baseline_ = 0;
  size_t clip_;
};

void check(const Chart& chart) {
  if (chart.panel_width < 160 || chart.panel_height < 120) {
    throw ValueError("render_svg: panels of " + std::to_string(chart.panel_width) + "x" +
                     std::to_string(chart.panel_height) + " pixels, expected at least 160x120");
  }
  for (const ChartPanel& panel : chart.panels) {
    for (const ChartSeries& series : panel.series) {
      if (series.x.size() == series.y.size()) continue;
      throw ValueError("render_svg: series \"" + series.name + "\" has " +
                       std::to_string(series.x.size()) + " x values and " +
                       std::to_string(series.y.size()) + " y values");
    }
  }
}

}  // namespace

std::string render_svg(const Chart& chart) {
  check(chart);
  const double title_height = chart.title.empty() ? 0 : kTitleHeight;
  const double width =
      chart.panel_width * static_cast<double>(std::max<size_t>(chart.panels.size(), 1));
  const double height = chart.panel_height + title_height;
  std::string out = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0:.0f}\" height=\"{1:.0f}\" viewBox=\"0 "
      "0 {0:.0f} {1:.0f}\""
      " font-family=\"sans-serif\" font-size=\"12\" fill=\"#222\">\n"
      "<style>.t{{font-size:17px;font-weight:bold}}.p{{font-size:14px;font-weight:bold}}.m{{fill:#"
      "555}}</style>\n"
      "<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n",
      width, height);
  if (!chart.title.empty()) {
    out += fmt::format("<text x=\"{:.1f}\" y=\"24\" text-anchor=\"middle\" class=\"t\">{}</text>\n",
                       width / 2, label(chart.title));
  }
  for (size_t i = 0; i < chart.panels.size(); ++i) {
    PanelWriter(out, chart.panels[i], static_cast<double>(i) * chart.panel_width, title_height,
                chart.panel_width, chart.panel_height, i)
        .write();
  }
  return out + "</svg>\n";
}

void write_svg(const std::string& path, const Chart& chart) {
  write_file_atomically(path, render_svg(chart));
}

}  // namespace linnet
