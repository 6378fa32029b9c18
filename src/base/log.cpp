#include "sboxfs/base/log.hpp"

#include <fcntl.h>
#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <atomic>
#include <memory>

namespace sboxfs::log {
namespace {

std::atomic<Level> threshold{Level::info};

std::shared_ptr<spdlog::logger> make_logger(spdlog::sink_ptr sink) {
  auto logger = std::make_shared<spdlog::logger>("sboxfs", std::move(sink));
  logger->set_pattern("%Y-%m-%dT%H:%M:%S.%e%z %^%l%$ [%t] %v");
  logger->set_level(spdlog::level::trace);
  logger->flush_on(spdlog::level::trace);
  return logger;
}

std::shared_ptr<spdlog::logger>& current() {
  static std::shared_ptr<spdlog::logger> logger = make_logger(std::make_shared<spdlog::sinks::stderr_sink_mt>());
  return logger;
}

spdlog::level::level_enum to_spdlog(Level level) {
  switch (level) {
    case Level::trace: return spdlog::level::trace;
    case Level::debug: return spdlog::level::debug;
    case Level::info: return spdlog::level::info;
    case Level::warn: return spdlog::level::warn;
    case Level::error: return spdlog::level::err;
  }
  return spdlog::level::err;
}

}  // namespace

Result<Level> parse_level(std::string_view word) {
  if (word == "trace") return Level::trace;
  if (word == "debug") return Level::debug;
  if (word == "info") return Level::info;
  if (word == "warn") return Level::warn;
  if (word == "error") return Level::error;
  return fail(EINVAL, cat("unknown log level '", word, "' (trace, debug, info, warn or error)"));
}

Status configure(Level level, const std::string& file) {
  threshold = level;
  if (file.empty()) {
    current() = make_logger(std::make_shared<spdlog::sinks::stderr_sink_mt>());
    return {};
  }
  // Opened once by hand so that the file is private from its first byte on.
  const int fd = ::open(file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (fd < 0) return fail(errno, cat("can not write the log file ", file));
  ::close(fd);
  try {
    current() = make_logger(std::make_shared<spdlog::sinks::basic_file_sink_mt>(file));
  } catch (const spdlog::spdlog_ex&) {
    return fail(EIO, cat("can not write the log file ", file));
  }
  return {};
}

bool enabled(Level level) { return level >= threshold.load(std::memory_order_relaxed); }

void write(Level level, std::string_view message) { current()->log(to_spdlog(level), "{}", message); }

}  // namespace sboxfs::log
