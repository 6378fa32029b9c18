// A kernel that writes down what it was told to forget.
//
//   kernel.watch([&] { ... })     called before each notification, on the notifier's thread: to check that memory is
//                                 ahead of the kernel
//   kernel.hold(), let_go()       notifications block, as behind a request in the same directory
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "sboxfs/base/mutex.hpp"
#include "sboxfs/base/text.hpp"
#include "sboxfs/ports/kernel.hpp"

namespace sboxfs::test {

/// Thread-safe.
class FakeKernel final : public Kernel {
 public:
  bool expire_entry(Ino parent, const std::string& name) override {
    told(cat("name ", parent, " ", name));
    return knows_;
  }
  bool drop_entry(Ino parent, const std::string& name) override {
    told(cat("drop ", parent, " ", name));
    return knows_;
  }
  bool inval_inode(Ino ino, std::int64_t offset, std::int64_t length) override {
    told(cat("data ", ino, " ", offset, "+", length));
    return knows_;
  }
  void expire_all() override { told("all"); }
  bool inval_attr(Ino ino) override {
    told(cat("attr ", ino));
    return knows_;
  }
  /// Whether it says that it had what it was told of.
  void knows(bool whether) { knows_ = whether; }

  /// Everything that has arrived and was not taken yet, in order: "name PARENT NAME", "attr INO",
  /// "data INO OFFSET+LENGTH" (a listing: "data DIR 0+0"), "drop PARENT NAME", "all".
  std::vector<std::string> take() EXCLUDES(mutex_) {
    MutexLock lock(mutex_);
    return std::exchange(told_, {});
  }
  bool heard(const std::string& what) const EXCLUDES(mutex_) {
    MutexLock lock(mutex_);
    for (const std::string& told : told_)
      if (told == what) return true;
    return false;
  }
  void watch(std::function<void()> watcher) EXCLUDES(mutex_) {
    MutexLock lock(mutex_);
    watcher_ = std::move(watcher);
  }
  /// `words`: only notifications with this text; empty: all.
  void hold(std::string words = "") EXCLUDES(mutex_) {
    MutexLock lock(mutex_);
    held_ = true;
    held_words_ = std::move(words);
  }
  void let_go() EXCLUDES(mutex_) {
    MutexLock lock(mutex_);
    held_ = false;
    changed_.notify_all();
  }

 private:
  void told(std::string what) EXCLUDES(mutex_) {
    std::function<void()> watcher;
    {
      MutexLock lock(mutex_);
      while (held_ && what.find(held_words_) != std::string::npos) changed_.wait(lock);
      watcher = watcher_;
    }
    if (watcher) watcher();
    MutexLock lock(mutex_);
    told_.push_back(std::move(what));
  }

  mutable Mutex mutex_;
  CondVar changed_;
  std::vector<std::string> told_ GUARDED_BY(mutex_);
  std::function<void()> watcher_ GUARDED_BY(mutex_);
  bool held_ GUARDED_BY(mutex_) = false;
  std::string held_words_ GUARDED_BY(mutex_);
  std::atomic<bool> knows_{true};
};

}  // namespace sboxfs::test
