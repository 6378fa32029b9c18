#include "migrations.hpp"

#include "schema.hpp"

namespace sboxfs::schema {

const std::vector<std::string>& migrations() {
  static const std::vector<std::string> all = [] {
    std::string first;
    for (const char* sql :
         {kSandboxes, kChanges, kInodes, kDirents, kChunks, kPatches, kRanges, kXattrs, kSessions, kOrphans, kLocks,
          kBlobs, kDeleteRows, kDeleteInodes, kCommitBatch, kLookUp, kLease, kAccess}) {
      first += sql;
    }
    return std::vector<std::string>{first, kSetLock};
  }();
  return all;
}

}  // namespace sboxfs::schema
