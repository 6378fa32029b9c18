#include "sboxfs/base/process_status.hpp"

#include <doctest/doctest.h>
#include <unistd.h>

#include <string>

using namespace sboxfs;

namespace {

/// The masks of proc(5): pending, blocked, ignored, caught.
std::string signals(const std::string& pending, const std::string& blocked, const std::string& ignored,
                    const std::string& caught, const std::string& shared = "0") {
  return "Name:\tx\nSigPnd:\t" + pending + "\nShdPnd:\t" + shared + "\nSigBlk:\t" + blocked + "\nSigIgn:\t" + ignored +
         "\nSigCgt:\t" + caught + "\n";
}

}  // namespace

TEST_CASE("process status: which pending signals end a process") {
  CHECK_FALSE(deadly_signal_pending(signals("0", "0", "0", "0")));
  CHECK(deadly_signal_pending(signals("100", "0", "0", "0")));                // SIGKILL
  CHECK(deadly_signal_pending(signals("0", "0", "0", "0", "2")));             // SIGINT, of the process
  CHECK_FALSE(deadly_signal_pending(signals("2", "0", "0", "2")));            // caught
  CHECK_FALSE(deadly_signal_pending(signals("2", "0", "2", "0")));            // ignored
  CHECK_FALSE(deadly_signal_pending(signals("2", "2", "0", "0")));            // blocked
  CHECK_FALSE(deadly_signal_pending(signals("10000", "0", "0", "0")));        // SIGCHLD: ignored by default
  CHECK_FALSE(deadly_signal_pending(signals("80000", "0", "0", "0")));        // SIGTSTP: stops
  CHECK(deadly_signal_pending(signals("10100", "0", "0", "10000", "2000")));  // SIGKILL among others
  CHECK_FALSE(deadly_signal_pending(""));
}

TEST_CASE("process status: of a process and of none") {
  CHECK(status_field(read_process_status(::getpid()), "Tgid:").find(std::to_string(::getpid())) != std::string::npos);
  CHECK(read_process_status(0).empty());
}
