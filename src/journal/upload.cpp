#include "upload.hpp"

#include <algorithm>
#include <atomic>
#include <thread>
#include <unordered_set>

#include "sboxfs/base/mutex.hpp"

namespace sboxfs {
namespace {

constexpr std::size_t kGroupBytes = 4 << 20;
constexpr std::size_t kGroupBlobs = 2000;
// Below this much work a second thread costs more than it saves.
constexpr std::size_t kParallelBytes = 2 << 20;

/// Runs job(0) ... job(count - 1), on up to `threads` threads.
template <class Job>
void in_parallel(std::size_t count, unsigned threads, Job job) {
  std::atomic<std::size_t> next{0};
  const auto work = [&] {
    for (std::size_t at = next++; at < count; at = next++) job(at);
  };
  std::vector<std::jthread> helpers;
  for (std::size_t i = 1; i < std::min<std::size_t>(threads, count); ++i) helpers.emplace_back(work);
  work();
}

std::size_t unhashed_bytes(const Batch& batch) {
  std::size_t bytes = 0;
  for (const ChunkPut& put : batch.chunks)
    if (put.data && put.blob.empty()) bytes += put.data->size();
  return bytes;
}

std::vector<std::vector<BlobPut>> group_blobs(const Batch& batch) {
  std::unordered_set<Hash, HashOfHash> seen;
  std::vector<std::vector<BlobPut>> groups;
  std::size_t bytes = 0;
  for (const ChunkPut& put : batch.chunks) {
    if (!put.data || !seen.insert(put.blob).second) continue;
    if (groups.empty() || bytes + put.data->size() > kGroupBytes || groups.back().size() >= kGroupBlobs) {
      groups.emplace_back();
      bytes = 0;
    }
    bytes += put.data->size();
    groups.back().push_back({put.blob, put.data});
  }
  return groups;
}

}  // namespace

void hash_chunks(Batch& batch, unsigned threads) {
  const bool large = unhashed_bytes(batch) >= kParallelBytes;
  in_parallel(batch.chunks.size(), large ? threads : 1, [&](std::size_t at) {
    ChunkPut& put = batch.chunks[at];
    if (put.data && put.blob.empty()) put.blob = sha256(*put.data);
  });
}

Status upload_blobs(const Batch& batch, Sink& sink, unsigned threads, const std::function<void()>& stored) {
  const auto groups = group_blobs(batch);
  Mutex mutex;
  Status first_error;
  in_parallel(groups.size(), threads, [&](std::size_t at) {
    Status status = sink.upload(groups[at]);
    if (status.ok()) stored();
    MutexLock lock(mutex);
    if (!status.ok() && first_error.ok()) first_error = std::move(status);
  });
  return first_error;
}

}  // namespace sboxfs
