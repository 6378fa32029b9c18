// The committer's work ahead of a commit: hashing a batch's chunks and storing their blobs.
#pragma once

#include <functional>

#include "sboxfs/model/batch.hpp"
#include "sboxfs/ports/sink.hpp"

namespace sboxfs {

/// Fills in the hashes of chunks that have none yet, with up to `threads` threads.
void hash_chunks(Batch& batch, unsigned threads);

/// Stores the blobs of the batch's chunks, each once, in groups, with up to `threads` connections.
/// `stored` is called, on any thread, after each group. Errors: the first one of Sink::upload; then some blobs are
/// stored and the call may be repeated.
Status upload_blobs(const Batch& batch, Sink& sink, unsigned threads, const std::function<void()>& stored);

}  // namespace sboxfs
