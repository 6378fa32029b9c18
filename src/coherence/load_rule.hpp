// The load rule (design, invariant 6) as the one loop every load runs in.
#pragma once

#include "sboxfs/base/fault.hpp"
#include "sboxfs/coherence/fetcher.hpp"

namespace sboxfs {

template <class Read, class Untouched, class Install>
Status Fetcher::load_by_rule(Read read, Untouched untouched, Install install) {
  // More rounds than a busy writer can cause: then the database answers from an older history than `seen`.
  constexpr int kRounds = 16;
  for (int round = 1;; ++round) {
    auto loaded = read();
    if (!loaded.ok()) return loaded.error();
    fault::point("load.read");
    const Stamp stamp = loaded->stamp;
    for (;;) {
      Version adopt_to = 0;
      {
        MutexLock lock(state_.mu);
        const bool current = stamp == state_.seen;
        const bool behind = stamp.version < state_.seen.version;
        if (current || (behind && state_.recent.knows(stamp.version, state_.seen.version) &&
                        (untouched(stamp.version) || fault::point("load.install_old")))) {
          install(*loaded);
          return {};
        }
        if (behind && round < kRounds) break;
        // Ahead: adopt what it has. Behind for good, or equal with another batch: let the adopter find out why.
        adopt_to = behind || stamp.version == state_.seen.version ? state_.seen.version + 1 : stamp.version;
      }
      SBOXFS_TRY(adopter_.adopt(adopt_to));
      MutexLock lock(state_.mu);
      if (stamp.version >= state_.seen.version && stamp != state_.seen) break;  // no progress: read again
    }
    if (round > 2 * kRounds) return fail(EIO, "the database's versions do not fit together");
  }
}

}  // namespace sboxfs
