#include "sboxfs/base/blocking.hpp"

namespace sboxfs {
namespace {
thread_local BlockingObserver* observer = nullptr;
thread_local int depth = 0;
}  // namespace

BlockingObserver* set_blocking_observer(BlockingObserver* next) {
  BlockingObserver* before = observer;
  observer = next;
  return before;
}

BlockingSection::BlockingSection() {
  if (depth++ == 0 && observer != nullptr) observer->before_wait();
}

BlockingSection::~BlockingSection() {
  if (--depth == 0 && observer != nullptr) observer->after_wait();
}

bool BlockingSection::interrupted() { return observer != nullptr && observer->interrupted(); }

}  // namespace sboxfs
