#include "sboxfs/base/fault.hpp"

#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "sboxfs/base/mutex.hpp"

namespace sboxfs::fault {
namespace {

struct Plan {
  std::string name;
  std::string action;
  long nth = 0;  // 0: every pass
  long passes = 0;
};

std::vector<Plan> parse_plans() {
  std::vector<Plan> plans;
  const char* text = std::getenv("SBOXFS_FAULT");
  std::string_view rest = text == nullptr ? "" : text;
  while (!rest.empty()) {
    std::string_view item = rest.substr(0, rest.find(','));
    rest = item.size() == rest.size() ? std::string_view() : rest.substr(item.size() + 1);
    const auto equals = item.find('=');
    if (equals == std::string_view::npos) continue;
    Plan plan;
    plan.name = item.substr(0, equals);
    plan.action = item.substr(equals + 1);
    if (const auto at = plan.action.find('@'); at != std::string::npos) {
      plan.nth = std::strtol(plan.action.c_str() + at + 1, nullptr, 10);
      plan.action.resize(at);
    }
    plans.push_back(plan);
  }
  return plans;
}

}  // namespace

bool point(std::string_view name) {
  static Mutex mutex;
  static std::vector<Plan> plans = parse_plans();
  if (plans.empty()) return false;
  std::string action;
  {
    MutexLock lock(mutex);
    for (Plan& plan : plans) {
      if (plan.name != name) continue;
      ++plan.passes;
      if (plan.nth == 0 || plan.nth == plan.passes) action = plan.action;
    }
  }
  if (action == "kill") ::kill(::getpid(), SIGKILL);
  if (action.rfind("stall:", 0) == 0)
    std::this_thread::sleep_for(std::chrono::milliseconds(std::strtol(action.c_str() + 6, nullptr, 10)));
  return action == "fail";
}

}  // namespace sboxfs::fault
