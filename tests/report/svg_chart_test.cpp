#include "linnet/report/svg_chart.h"

#include <cmath>
#include <limits>

#include "tests/io/io_test_utils.h"

namespace linnet::svg_chart_test {
namespace {

using testing::expect_error;

size_t count(const std::string& text, const std::string& part) {
  size_t found = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++found;
  return found;
}

// Tags nest, attribute values are closed, and no number is NaN or infinite.
void expect_well_formed(const std::string& svg) {
  std::vector<std::string> open;
  for (size_t at = svg.find('<'); at != std::string::npos; at = svg.find('<', at + 1)) {
    const size_t end = svg.find('>', at);
    ASSERT_NE(end, std::string::npos);
    const std::string tag = svg.substr(at + 1, end - at - 1);
    EXPECT_EQ(count(tag, "\"") % 2, 0u) << tag;
    if (tag[0] == '/') {
      ASSERT_FALSE(open.empty());
      EXPECT_EQ(open.back(), tag.substr(1));
      open.pop_back();
    } else if (tag.back() != '/') {
      open.push_back(tag.substr(0, tag.find(' ')));
    }
  }
  EXPECT_TRUE(open.empty());
  for (const char* part : {"\"nan", "\"inf", " nan", " inf", "-nan", "-inf"})
    EXPECT_EQ(count(svg, part), 0u) << part;
}

Chart one_panel(std::vector<ChartSeries> series) {
  Chart chart;
  chart.panels.push_back(
      {.title = "Loss", .x_label = "epoch", .y_label = "nats", .series = std::move(series)});
  return chart;
}

TEST(SvgChart, TwoPanelsWithLegendsAndLabels) {
  Chart chart = one_panel({{"train", {0, 1, 2}, {3, 2, 1}}, {"test", {0, 1, 2}, {3.1, 2.5, 2.2}}});
  chart.title = "Training";
  chart.panels.push_back(
      {.title = "Accuracy", .series = {{"test", {0, 1}, {0.5, 0.9}}}, .y_max = 1.0});
  const std::string svg = render_svg(chart);
  expect_well_formed(svg);
  for (const char* text : {">Training<", ">Loss<", ">Accuracy<", ">epoch<", ">nats<", ">train<"}) {
    EXPECT_EQ(count(svg, text), 1u) << text;
  }
  EXPECT_EQ(count(svg, ">test<"), 2u);
  EXPECT_EQ(count(svg, "<circle"), 8u);
  EXPECT_NE(svg.find("width=\"920\""), std::string::npos);
  EXPECT_EQ(count(svg, "href"), 0u);
}

TEST(SvgChart, PointsAreWhereTheAxesSay) {
  Chart chart = one_panel({{"", {0, 10}, {0, 4}}});
  chart.panels[0].y_min = 0;
  chart.panels[0].y_max = 4;
  const std::string svg = render_svg(chart);
  // Left end of the x axis is at pixel 62, right end at 460 - 16.
  EXPECT_NE(svg.find("d=\"M62.0 "), std::string::npos) << svg;
  EXPECT_NE(svg.find("L444.0 "), std::string::npos);
}

TEST(SvgChart, ValuesThatAreNotFiniteInterruptTheLine) {
  const double nan = std::nan("");
  const std::string svg =
      render_svg(one_panel({{"a", {0, 1, 2, 3, 4, 5}, {1, 2, nan, 3, 4, INFINITY}}}));
  expect_well_formed(svg);
  EXPECT_EQ(count(svg, "<path stroke=\"#0072B2\""), 2u);
  EXPECT_EQ(count(svg, "<circle"), 4u);
}

TEST(SvgChart, NothingToDrawIsSaid) {
  const double nan = std::nan("");
  for (const Chart& chart :
       {one_panel({}), one_panel({{"a", {}, {}}}), one_panel({{"a", {nan, 1}, {1, nan}}})}) {
    const std::string svg = render_svg(chart);
    expect_well_formed(svg);
    EXPECT_EQ(count(svg, ">no data<"), 1u);
  }
  expect_well_formed(render_svg(Chart{}));
}

TEST(SvgChart, ExtremeRangesStayFinite) {
  const double max = std::numeric_limits<double>::max(),
               tiny = std::numeric_limits<double>::denorm_min();
  for (const std::vector<double>& y : std::vector<std::vector<double>>{{max, -max},
                                                                       {tiny, 0},
                                                                       {5, 5},
                                                                       {0, 0},
                                                                       {1e15, 1e15 + 1},
                                                                       {1e-300, 2e-300},
                                                                       {max, max},
                                                                       {-1e300, 1},
                                                                       {1, 1 + 1e-15}}) {
    SCOPED_TRACE(y[0]);
    expect_well_formed(render_svg(one_panel({{"a", {0, 1}, y}, {"b", y, {0, 1}}})));
    Chart chart = one_panel({{"a", {0, 1}, y}});
    chart.panels[0].y_min = y[0];
    chart.panels[0].y_max = -max;
    expect_well_formed(render_svg(chart));
  }
}

TEST(SvgChart, LongSeriesStayLightAndKeepTheirPeaks) {
  std::vector<double> x, y;
  for (int i = 0; i < 200'000; ++i) {
    x.push_back(i);
    y.push_back(i == 123'456 ? 100.0 : std::sin(i));
  }
  const std::string svg = render_svg(one_panel({{"a", x, y}}));
  EXPECT_LT(svg.size(), 60'000u);
  EXPECT_EQ(count(svg, "<circle"), 0u);
  // The peak defines the top of the axis, so some point comes within the margin of it.
  EXPECT_GT(count(svg, ">100<") + count(svg, ">80<"), 0u);
}

TEST(SvgChart, TextIsEscaped) {
  Chart chart = one_panel({{"<a & \"b\">", {0}, {0}}, {"\xff\x01", {0}, {0}}});
  chart.title = "</svg><script>";
  const std::string svg = render_svg(chart);
  expect_well_formed(svg);
  EXPECT_EQ(count(svg, "<script"), 0u);
  EXPECT_EQ(count(svg, "&lt;a &amp; &quot;b&quot;&gt;"), 1u);
  EXPECT_EQ(count(svg, "\xff"), 0u);
}

TEST(SvgChart, MoreSeriesThanColoursDifferInDashes) {
  std::vector<ChartSeries> series;
  for (int i = 0; i < 20; ++i)
    series.push_back({"s" + std::to_string(i), {0, 1}, {0.0, double(i)}});
  const std::string svg = render_svg(one_panel(series));
  expect_well_formed(svg);
  EXPECT_EQ(count(svg, "<path stroke=\"#0072B2\" d="), 1u);
  EXPECT_EQ(count(svg, "<path stroke=\"#0072B2\" stroke-dasharray=\"6 3\""), 1u);
}

TEST(SvgChart, RefusesSeriesOfUnequalLengthsAndTinyPanels) {
  expect_error<ValueError>(
      [] {
        render_svg(one_panel({{"a", {0, 1}, {0}}}));
      },
      {"\"a\"", "2 x values and 1 y"});
  Chart chart;
  chart.panel_width = 10;
  expect_error<ValueError>([&] { render_svg(chart); }, {"10x320"});
}

TEST(SvgChart, TicksAreRoundAndInside) {
  EXPECT_EQ(nice_ticks(0, 10, 5), (std::vector<double>{0, 2, 4, 6, 8, 10}));
  EXPECT_EQ(nice_ticks(0, 1, 5).size(), 6u);
  EXPECT_EQ(nice_ticks(-1, 1, 4), (std::vector<double>{-1, -0.5, 0, 0.5, 1}));
  EXPECT_FALSE(std::signbit(nice_ticks(-1, 1, 4)[2]));
  for (double tick : nice_ticks(0.37, 12.2, 6)) {
    EXPECT_GE(tick, 0.37);
    EXPECT_LE(tick, 12.2);
  }
}

TEST(SvgChart, WritesAFile) {
  const testing::TemporaryDirectory directory;
  write_svg(directory / "a.svg", Chart{});
  EXPECT_EQ(testing::read_text(directory / "a.svg"), render_svg(Chart{}));
}

}  // namespace
}  // namespace linnet::svg_chart_test
