#include "sboxfs/session/lost.hpp"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <ctime>
#include <map>
#include <memory>

#include "sboxfs/base/fd.hpp"
#include "sboxfs/base/text.hpp"

namespace sboxfs {
namespace {

struct Names {
  std::map<Ino, std::pair<Ino, std::string>> of;  // inode → (parent, name), the newest known

  std::string path(Ino ino) const {
    std::string out;
    // A cycle can not be in a tree, but this also must end for anything else.
    for (int depth = 0; depth < 4096; ++depth) {
      const auto at = of.find(ino);
      if (at == of.end()) return ino == kRootIno ? out : cat("inode-", ino, out.empty() ? "" : "/", out);
      out = out.empty() ? at->second.second : cat(at->second.second, "/", out);
      ino = at->second.first;
    }
    return out;
  }
};

/// The last known record and bytes of each inode, over all batches in order.
struct Lost {
  std::map<Ino, InodeRecord> inodes;
  std::map<Ino, std::string> data;
  std::string removed;
  Names names;
};

// More than this per file would not have fitted into the journal: a sparse tail is not worth writing out.
constexpr std::uint64_t kMostBytes = 1ULL << 30;

void lay(Lost& lost, Ino ino, std::uint64_t offset, std::string_view bytes) {
  if (offset + bytes.size() > kMostBytes) return;
  std::string& data = lost.data[ino];
  if (data.size() < offset + bytes.size()) data.resize(offset + bytes.size());
  data.replace(offset, bytes.size(), bytes);
}

Lost gather(const std::vector<InFlight>& flights) {
  Lost lost;
  for (const InFlight& flight : flights) {
    const Batch& batch = flight.batch;
    for (const Dirent& row : batch.dirents) lost.names.of[row.ino] = {row.parent, row.name};
    for (const InodeRecord& row : batch.inodes) lost.inodes[row.ino] = row;
    for (const ChunkPut& put : batch.chunks)
      if (put.data) lay(lost, put.ino, std::uint64_t{put.idx} * kChunkSize, *put.data);
    for (const PatchPut& put : batch.patches)
      lay(lost, put.ino, std::uint64_t{put.idx} * kChunkSize + put.offset, put.data);
  }
  for (const InFlight& flight : flights)
    for (const DirentKey& key : flight.batch.unlinked) {
      const std::string parent = lost.names.path(key.parent);
      lost.removed += cat(parent, parent.empty() ? "" : "/", key.name, "\n");
    }
  return lost;
}

using Archive = std::unique_ptr<archive, int (*)(archive*)>;
using ArchiveEntry = std::unique_ptr<archive_entry, void (*)(archive_entry*)>;

Status write_entry(archive* tar, const std::string& path, const Attr& attr, const std::string& target,
                   std::string_view data) {
  const ArchiveEntry entry(archive_entry_new(), archive_entry_free);
  archive_entry_set_pathname(entry.get(), path.c_str());
  archive_entry_set_mode(entry.get(), attr.mode);
  archive_entry_set_uid(entry.get(), attr.uid);
  archive_entry_set_gid(entry.get(), attr.gid);
  archive_entry_set_mtime(entry.get(), attr.mtime / 1'000'000'000, static_cast<long>(attr.mtime % 1'000'000'000));
  if (S_ISLNK(attr.mode)) archive_entry_set_symlink(entry.get(), target.c_str());
  archive_entry_set_size(entry.get(), S_ISREG(attr.mode) ? static_cast<la_int64_t>(data.size()) : 0);
  if (archive_write_header(tar, entry.get()) != ARCHIVE_OK) return fail(EIO, archive_error_string(tar));
  if (S_ISREG(attr.mode) && !data.empty() && archive_write_data(tar, data.data(), data.size()) < 0)
    return fail(EIO, archive_error_string(tar));
  return {};
}

std::string time_text() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  gmtime_r(&now, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y%m%dT%H%M%SZ", &parts);
  return text;
}

}  // namespace

Result<std::string> save_lost(const std::string& home, const std::string& name, const std::vector<InFlight>& lost) {
  const std::string dir = cat(home, "/lost");
  if (::mkdir(dir.c_str(), 0700) != 0 && errno != EEXIST) return fail(errno, cat("can not make ", dir));
  const std::string path = cat(dir, "/", name, "-", time_text(), "-", Uuid::random().text().substr(0, 8), ".tar");
  const Archive tar(archive_write_new(), archive_write_free);
  archive_write_set_format_pax_restricted(tar.get());
  const UniqueFd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!file) return fail(errno, cat("can not make ", path));
  if (archive_write_open_fd(tar.get(), file.get()) != ARCHIVE_OK) return fail(EIO, cat("can not write ", path));
  const Lost all = gather(lost);
  for (const auto& [ino, record] : all.inodes) {
    const std::string entry_path = all.names.path(ino);
    if (entry_path.empty()) continue;  // the root itself
    const auto data = all.data.find(ino);
    SBOXFS_TRY(write_entry(tar.get(), entry_path, record.attr, record.target,
                           data == all.data.end() ? std::string_view() : std::string_view(data->second)));
  }
  if (!all.removed.empty()) {
    Attr attr;
    attr.mode = S_IFREG | 0600;
    SBOXFS_TRY(write_entry(tar.get(), "REMOVED", attr, "", all.removed));
  }
  if (archive_write_close(tar.get()) != ARCHIVE_OK) return fail(EIO, cat("can not write ", path));
  return path;
}

}  // namespace sboxfs
