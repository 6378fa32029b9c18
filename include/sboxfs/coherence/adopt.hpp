// Adopting versions others made: "adopt a version only if you have its contents" (design, invariant 5).
#pragma once

#include <functional>
#include <vector>

#include "sboxfs/coherence/dropped.hpp"
#include "sboxfs/coherence/fetcher.hpp"
#include "sboxfs/journal/state.hpp"
#include "sboxfs/ports/loader.hpp"

namespace sboxfs {

/// What follows an adoption. Called without a Mutex held, in the order of adoption, on the adopting thread (which may
/// be a request's: so these only enqueue).
struct AdoptionEvents {
  /// Memory dropped exactly this; kernel next.
  std::function<void(const Dropped&)> dropped;
  /// Memory dropped everything (reload), this among it; `seen` starts anew.
  std::function<void(const Delta&)> dropped_all;
  /// These inodes are open here and have lost their last name: to be pinned before the new `seen` is stored.
  std::function<void(const std::vector<Ino>&)> orphaned;
  std::function<void()> destroyed;
};

/// Thread-safe; one adoption runs at a time, others wait for it.
class Adoption final : public Adopter {
 public:
  Adoption(State& state, Loader& loader, AdoptionEvents events)
      : state_(state), loader_(loader), events_(std::move(events)) {}

  Status adopt(Version upto) override;
  /// Compares version and batch with the database now, and adopts what it has. For audit, gaps and reconnects.
  Status check();
  /// The quota, and what all sessions use together, as the database has them: State::usage. What is used is left alone
  /// when the database is at another version than memory: the next audit does it. Errors: as Loader.
  Status read_usage();

 private:
  enum class Step { done, again, reload };
  Status run(Version upto, bool always);
  Result<Step> step(Version upto, bool& always);
  Step apply(const Stamp& from, const LoadedChanges& loaded, Dropped& dropped, std::vector<Ino>& orphaned);
  void drop(const Delta& delta, Dropped& dropped, std::vector<Ino>& orphaned) REQUIRES(state_.mu);
  Status reload();
  bool has_quota() const;
  void wait_for_committer();

  State& state_;
  Loader& loader_;
  const AdoptionEvents events_;
  Mutex turn_mutex_;
  CondVar turn_;
  bool busy_ GUARDED_BY(turn_mutex_) = false;
};

}  // namespace sboxfs
