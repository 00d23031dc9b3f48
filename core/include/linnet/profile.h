// Where time and memory go: a trace of everything that runs, and memory by module.
//
//   #include "linnet/profile.h"
//   profile::start_trace("step.json");       // or LINNET_TRACE=step.json in the environment
//   {
//     const profile::Span span("epoch 1");   // a row of your own
//     for (const Batch& batch : loader) train_step(model, batch);
//   }
//   profile::stop_trace();                   // open the file in chrome://tracing or
//   ui.perfetto.dev
//
//   const profile::MemoryRecord record;
//   step(model, batch);
//   std::cout << record.text();              // live and peak bytes by module
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "linnet/device.h"

#pragma GCC visibility push(default)

namespace linnet::profile {

/// Writes a trace in the Trace Event format of Chrome to `path` from now on, in the place of one
/// that is being written. There is an event for each eager operation (`eager`), each step of a
/// compiled program (`step`) with its kernel, each call of a compiled function (`call`), each
/// tracing and compilation (`compile`) and each `Span` (`user`), with the types and the module
/// path, in a row for each thread. Work on devices other than the host is waited for step by step,
/// so that an event lasts as long as its work.
/// @throws IoError if the file cannot be written.
void start_trace(const std::string& path);
/// Brings all events so far to the file, which is whole after that; so it is after every second and
/// when the process ends.
void write_trace();
/// Ends the trace; the file is whole. Does nothing if there is none.
void stop_trace();

/// An event of the trace, as long as the scope; costs one branch without a trace.
class Span {
 public:
  /// @throws ValueError for names that are not UTF-8, if a trace is being written.
  explicit Span(std::string_view name);
  ~Span();
  Span(const Span&) = delete;
  Span& operator=(const Span&) = delete;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// Memory of one module: blocks that were made while it was computing.
struct ModuleMemory {
  std::string path;  ///< of modules; empty outside of all
  size_t live_bytes = 0;
  size_t live_blocks = 0;
  size_t peak_bytes = 0;  ///< the most that was live at a time, of this module alone
};

/// While one lives, every block of memory is remembered with the module that made it, those of all
/// threads. Without, blocks of 1 MiB and more are, for reports of exhausted memory. What was made
/// before the first record, and is smaller, is not counted. The intermediate values of a compiled
/// program are one block, which belongs to the module that calls it.
class MemoryRecord {
 public:
  /// Peaks begin with what is live now.
  explicit MemoryRecord(Device device = default_device());
  ~MemoryRecord();
  MemoryRecord(const MemoryRecord&) = delete;
  MemoryRecord& operator=(const MemoryRecord&) = delete;

  /// Those that have or had memory, the largest peak first.
  std::vector<ModuleMemory> modules() const;
  /// A table of them.
  std::string text() const;

 private:
  Device device_;
};

}  // namespace linnet::profile

#pragma GCC visibility pop
