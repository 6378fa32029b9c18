#include <algorithm>

#include "query.hpp"
#include "sboxfs/base/fault.hpp"
#include "sboxfs/base/log.hpp"
#include "sboxfs/store/pg_lease_store.hpp"
#include "sboxfs/store/pg_sink.hpp"

namespace sboxfs {
namespace {

constexpr PgStatement kCommit{"commit", R"sql(
SELECT published, alone FROM sboxfs.commit_batch(
  $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25,
  $26, $27, $28, $29, $30, $31, $32, $33, $34, $35, $36, $37, $38, $39, $40, $41, $42, $43, $44, $45, $46, $47, $48,
  $49, $50, $51, $52, $53, $54, $55, $56, $57, $58, $59))sql"};

/// Chunks that name a blob which somebody else uploaded: its mark goes, ahead of the commit as with an upload.
constexpr PgStatement kShare{"share", R"sql(
WITH unmarked AS (
  UPDATE sboxfs.blobs SET dead_since = NULL WHERE tenant = $1 AND hash = ANY ($2) AND dead_since IS NOT NULL)
SELECT count(*) FROM sboxfs.blobs WHERE tenant = $1 AND hash = ANY ($2))sql"};

/// One row of `ranges`.
struct RangeRow {
  Ino ino = 0;
  Range range;
};

template <class T>
auto member(T field) {
  return [field](const auto& item) { return item.*field; };
}

Ino itself(Ino ino) { return ino; }

void add_inodes(PgParams& params, const std::vector<InodeRecord>& inodes) {
  const auto attr = [&](auto field) { return [field](const InodeRecord& inode) { return inode.attr.*field; }; };
  params.int8s(inodes, member(&InodeRecord::ino))
      .int4s(inodes, attr(&Attr::mode))
      .int4s(inodes, attr(&Attr::uid))
      .int4s(inodes, attr(&Attr::gid))
      .int4s(inodes, attr(&Attr::nlink))
      .int4s(inodes, attr(&Attr::rdev))
      .int4s(inodes, attr(&Attr::flags))
      .int8s(inodes, attr(&Attr::size))
      .int8s(inodes, attr(&Attr::blocks))
      .int8s(inodes, attr(&Attr::atime))
      .int8s(inodes, attr(&Attr::mtime))
      .int8s(inodes, attr(&Attr::ctime))
      .int8s(inodes, member(&InodeRecord::parent))
      .byteas(inodes, [](const InodeRecord& inode) { return std::string_view(inode.target); });
}

void add_names(PgParams& params, const Batch& batch) {
  params.int8s(batch.unlinked, member(&DirentKey::parent))
      .int8s(batch.unlinked, member(&DirentKey::cookie))
      .byteas(batch.unlinked, [](const DirentKey& key) { return std::string_view(key.name); })
      .int8s(batch.dirents, member(&Dirent::parent))
      .int8s(batch.dirents, member(&Dirent::cookie))
      .byteas(batch.dirents, [](const Dirent& dirent) { return std::string_view(dirent.name); })
      .int8s(batch.dirents, member(&Dirent::ino))
      .int4s(batch.dirents, member(&Dirent::type));
}

void add_chunks(PgParams& params, const Batch& batch) {
  std::vector<const ChunkPut*> holes;
  std::vector<const ChunkPut*> puts;
  for (const ChunkPut& chunk : batch.chunks) (chunk.mask == 0 ? holes : puts).push_back(&chunk);
  const auto of = [](auto field) { return [field](const ChunkPut* chunk) { return chunk->*field; }; };
  params.int8s(batch.cuts, member(&ChunkCut::ino))
      .int4s(batch.cuts, member(&ChunkCut::from))
      .int8s(holes, of(&ChunkPut::ino))
      .int4s(holes, of(&ChunkPut::idx))
      .int8s(puts, of(&ChunkPut::ino))
      .int4s(puts, of(&ChunkPut::idx))
      .int4s(puts, of(&ChunkPut::mask))
      .byteas(puts,
              [](const ChunkPut* chunk) { return chunk->blob.empty() ? std::string_view() : chunk->blob.view(); });
  params.int8s(batch.patches, member(&PatchPut::ino))
      .int4s(batch.patches, member(&PatchPut::idx))
      .int4s(batch.patches, member(&PatchPut::mask))
      .int4s(batch.patches, member(&PatchPut::offset))
      .byteas(batch.patches, [](const PatchPut& patch) { return std::string_view(patch.data); });
}

void add_ranges(PgParams& params, const std::vector<RangesPut>& files) {
  std::vector<RangeRow> rows;
  for (const RangesPut& file : files) {
    for (const Range& range : file.ranges) rows.push_back({file.ino, range});
  }
  params.int8s(files, member(&RangesPut::ino))
      .int8s(rows, member(&RangeRow::ino))
      .int8s(rows, [](const RangeRow& row) { return row.range.from; })
      .int8s(rows, [](const RangeRow& row) { return row.range.to; });
}

void add_xattrs(PgParams& params, const std::vector<XattrPut>& xattrs) {
  std::vector<const XattrPut*> removed;
  std::vector<const XattrPut*> put;
  for (const XattrPut& xattr : xattrs) (xattr.removed ? removed : put).push_back(&xattr);
  const auto ino = [](const XattrPut* xattr) { return xattr->ino; };
  const auto name = [](const XattrPut* xattr) { return std::string_view(xattr->name); };
  params.int8s(removed, ino).byteas(removed, name).int8s(put, ino).byteas(put, name);
  params.byteas(put, [](const XattrPut* xattr) { return std::string_view(xattr->value); });
}

PgParams all_params(const StoreContext& context, const Batch& batch, const CommitTerms& terms) {
  PgParams params = store_detail::params_of(context);
  params.uuid(context.session)
      .int8(terms.epoch)
      .int8(terms.base.version)
      .uuid(terms.base.batch)
      .uuid(batch.id)
      .bytea(encode_delta(batch.delta))
      .int8(terms.published_version)
      .int8(terms.lease_ns)
      .int8(batch.used_blocks)
      .int8(batch.used_inodes);
  add_inodes(params, batch.inodes);
  add_names(params, batch);
  add_chunks(params, batch);
  add_ranges(params, batch.ranges);
  add_xattrs(params, batch.xattrs);
  params.int8s(batch.orphans, itself).int8s(batch.gone, itself).int8s(batch.unpinned, itself);
  return params;
}

/// Before a commit that shares blobs. A blob that is not there at all is logged: the commit must not hang on it.
Status unmark_shared(const StoreContext& context, const std::vector<ChunkPut>& chunks) {
  std::vector<Hash> shared;
  for (const ChunkPut& chunk : chunks) {
    if (chunk.data == nullptr && chunk.mask != 0 && !chunk.blob.empty()) shared.push_back(chunk.blob);
  }
  if (shared.empty()) return {};
  std::sort(shared.begin(), shared.end());
  shared.erase(std::unique(shared.begin(), shared.end()), shared.end());
  PgParams params;
  params.text(context.tenant).byteas(shared, [](const Hash& hash) { return hash.view(); });
  SBOXFS_ASSIGN(const PgRows rows, store_detail::run(*context.pool, kShare, params));
  if (rows.uint8(0, 0) < shared.size()) {
    log::error("store: a copied file range names ", shared.size() - rows.uint8(0, 0), " blobs that do not exist");
  }
  return {};
}

CommitOutcome failed(CommitState state, Error error) {
  CommitOutcome outcome;
  outcome.state = state;
  outcome.error = std::move(error);
  return outcome;
}

CommitState state_of(const PgFailure& failure) {
  switch (failure.outcome) {
    case PgOutcome::refused:
      if (failure.sqlstate == sqlstate::kFenced) return CommitState::fenced;
      return failure.sqlstate == sqlstate::kDestroyed ? CommitState::destroyed : CommitState::not_applied;
    case PgOutcome::unreachable: return CommitState::not_applied;
    case PgOutcome::in_doubt:
    case PgOutcome::interrupted: break;
  }
  return CommitState::in_doubt;
}

}  // namespace

CommitOutcome PgSink::commit(const Batch& batch, const CommitTerms& terms) {
  if (Status shared = unmark_shared(context_, batch.chunks); !shared.ok()) {
    return failed(CommitState::not_applied, shared.error());
  }
  if (fault::point("store.before_commit")) return failed(CommitState::not_applied, fail(EIO, "fault point"));
  PgAnswer answer = context_.pool->run(kCommit, all_params(context_, batch, terms), {.repeatable = false});
  if (fault::point("store.after_commit")) return failed(CommitState::in_doubt, fail(EIO, "fault point"));
  if (!answer.ok()) {
    const CommitState state = state_of(answer.failure());
    if (state == CommitState::fenced) {
      // An earlier try of the same batch, given up for lost, may have been finished by its server since.
      CommitOutcome earlier = look_up(batch.id, terms);
      if (earlier.state == CommitState::committed) return earlier;
      const Result<LeaseState> now =
          fault::point("commit.ignore_epoch") ? PgLeaseStore(context_).look() : fail(ESTALE, "fenced");
      if (now.ok()) return commit(batch, {now->epoch, now->stamp, 0, terms.lease_ns});
    }
    return failed(state, to_error(answer.failure()));
  }
  CommitOutcome outcome;
  outcome.state = CommitState::committed;
  outcome.stamp = {terms.base.version + 1, batch.id};
  outcome.published_version = answer.rows().int8(0, 0);
  outcome.alone = answer.rows().boolean(0, 1);
  return outcome;
}

}  // namespace sboxfs
