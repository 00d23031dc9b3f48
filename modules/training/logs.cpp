#include "linnet/training/logs.h"

#include <filesystem>

#include "linnet/detail/format.h"
#include "linnet/io/atomic_file.h"
#include "linnet/report/svg_chart.h"

namespace linnet::training {

// ---- ProgressLog

ProgressLog::ProgressLog(std::FILE* out, int64_t batches, ProgressOptions options)
    : out_(out), batches_(batches), options_(std::move(options)) {
  if (options_.unit == ProgressOptions{}.unit) options_.unit = "step";
}

void ProgressLog::on_epoch_start(Trainer& trainer) {
  ProgressOptions options = options_;
  if (options.label.empty())
    options.label = fmt::format("epoch {}/{}", trainer.epoch() + 1, trainer.options().epochs);
  bar_ = std::make_unique<ProgressBar>(out_, batches_ > 0 ? batches_ - trainer.batch() : 0,
                                       std::move(options));
}

void ProgressLog::on_record(Trainer&, const Record& record) {
  if (!bar_) return;
  for (const auto& [name, value] : record.values)
    bar_->set(record.group == "train" ? name : record.group + "/" + name, value);
}

void ProgressLog::on_step(Trainer&) { bar_->advance(); }

void ProgressLog::on_epoch_end(Trainer&) { bar_->finish(); }

void ProgressLog::on_end(Trainer&) {
  if (bar_) bar_->finish();
}

// ---- CsvLog

namespace {

// As RFC 4180 has it, where a name has commas, quotes or lines.
std::string csv_field(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string out = "\"";
  for (const char c : text) out.append(c == '"' ? 2 : 1, c);
  out += '"';
  return out;
}

}  // namespace

void CsvLog::on_start(Trainer&) {
  if (file_) return;
  if (std::filesystem::exists(path_)) {
    const auto size = static_cast<int64_t>(std::filesystem::file_size(path_));
    if (size < bytes_) {
      fail<IoError>("CsvLog: {} has {} bytes, but had {} when the checkpoint was written", path_,
                    size, bytes_);
    }
    std::filesystem::resize_file(path_, static_cast<uintmax_t>(bytes_));
  } else {
    bytes_ = 0;
  }
  file_.emplace(path_);
  if (bytes_ == 0) write("step,epoch,metric,value\n");
}

void CsvLog::on_record(Trainer&, const Record& record) {
  std::string lines;
  for (const auto& [name, value] : record.values) {
    lines += fmt::format("{},{},{},{}\n", record.step, record.epoch,
                         csv_field(record.group + "/" + name), value);
  }
  write(lines);
}

void CsvLog::write(const std::string& text) {
  file_->write(text);
  bytes_ += static_cast<int64_t>(text.size());
}

// ---- SvgCurves

void SvgCurves::on_record(Trainer&, const Record& record) {
  for (const auto& [name, value] : record.values) {
    Points& points = metrics_[name][record.group];
    points.step.push_back(static_cast<double>(record.step));
    points.value.push_back(value);
  }
}

void SvgCurves::draw() const {
  Chart chart{.title = title_};
  for (const auto& [name, groups] : metrics_) {
    ChartPanel panel{.title = name, .x_label = "step"};
    for (const auto& [group, points] : groups)
      panel.series.push_back({group, points.step, points.value});
    chart.panels.push_back(std::move(panel));
  }
  const std::filesystem::path folder = std::filesystem::path(path_).parent_path();
  if (!folder.empty()) std::filesystem::create_directories(folder);
  write_svg(path_, chart);
}

Json SvgCurves::state() const {
  Json out = Json::object();
  for (const auto& [name, groups] : metrics_) {
    for (const auto& [group, points] : groups) {
      Json list = Json::array();
      for (size_t i = 0; i < points.step.size(); ++i)
        list.push_back(Json::Array{points.step[i], points.value[i]});
      out[name][group] = std::move(list);
    }
  }
  return out;
}

void SvgCurves::restore(const Json& state) {
  metrics_.clear();
  for (const auto& [name, groups] : state.as_object()) {
    for (const auto& [group, list] : groups.as_object()) {
      Points& points = metrics_[name][group];
      for (const Json& point : list.as_array()) {
        if (point.as_array().size() != 2) fail<IoError>("SvgCurves: expected [step, value]");
        points.step.push_back(point.as_array()[0].as_double());
        points.value.push_back(point.as_array()[1].as_double());
      }
    }
  }
}

// ---- TensorBoard

void TensorBoard::on_start(Trainer& trainer) {
  if (events_) return;
  events_.emplace(directory_, options_);
  if (trainer.step() > 0) events_->restart(trainer.step() + 1);
}

void TensorBoard::on_record(Trainer&, const Record& record) {
  for (const auto& [name, value] : record.values)
    events_->scalar(record.group + "/" + name, value, record.step);
}

EventFile& TensorBoard::events() {
  if (!events_) fail<ValueError>("TensorBoard: there is no event file before the training starts");
  return *events_;
}

}  // namespace linnet::training
