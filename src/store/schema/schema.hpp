// The schema's SQL, one constant a table or function. Migration 1 runs those of the first block in this order.
// A later change is a new migration (migrations.cpp), never an edit of these texts once they were released.
#pragma once

namespace sboxfs::schema {

extern const char kSandboxes[];
extern const char kChanges[];
extern const char kInodes[];
extern const char kDirents[];
extern const char kChunks[];
extern const char kPatches[];
extern const char kRanges[];
extern const char kXattrs[];
extern const char kSessions[];
extern const char kOrphans[];
extern const char kLocks[];
extern const char kBlobs[];
extern const char kDeleteRows[];
extern const char kDeleteInodes[];
extern const char kCommitBatch[];
extern const char kLookUp[];
extern const char kLease[];
extern const char kAccess[];

extern const char kSetLock[];  // migration 2

}  // namespace sboxfs::schema
