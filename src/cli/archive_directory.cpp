#include <sys/stat.h>

#include "archive.hpp"

namespace sboxfs::cli {
namespace {

using Entry = std::unique_ptr<archive_entry, decltype(&archive_entry_free)>;

Status copy_contents(archive* disk, archive* out, const std::string& path) {
  const void* data = nullptr;
  std::size_t size = 0;
  la_int64_t offset = 0;
  la_int64_t written = 0;
  const std::string zeros(64 * 1024, '\0');
  for (;;) {
    const int got = ::archive_read_data_block(disk, &data, &size, &offset);
    if (got == ARCHIVE_EOF) return {};
    if (got < ARCHIVE_WARN) return archive_error(disk, path);
    // The pax writer wants every byte and leaves out what the entry's map of holes says.
    while (written < offset) {
      const auto gap =
          static_cast<std::size_t>(std::min<la_int64_t>(offset - written, static_cast<la_int64_t>(zeros.size())));
      if (::archive_write_data(out, zeros.data(), gap) < 0) return archive_error(out, path);
      written += static_cast<la_int64_t>(gap);
    }
    if (::archive_write_data(out, data, size) < 0) return archive_error(out, path);
    written += static_cast<la_int64_t>(size);
  }
}

Status write_entry(archive* disk, archive* out, archive_entry* entry) {
  const std::string path = ::archive_entry_pathname(entry);
  if (::archive_write_header(out, entry) < ARCHIVE_WARN) return archive_error(out, path);
  if (::archive_entry_size(entry) <= 0 || ::archive_entry_hardlink(entry) != nullptr) return {};
  return copy_contents(disk, out, path);
}

/// "./a/b" for "ROOT/a/b", so that the archive can be unpacked anywhere.
std::string relative_path(const std::string& path, const std::string& root) {
  const std::string rest = path.size() > root.size() ? path.substr(root.size() + (root == "/" ? 0 : 1)) : std::string();
  return rest.empty() ? "." : "./" + rest;
}

}  // namespace

Result<std::uint64_t> write_directory(const std::string& root, int fd) {
  const ReadArchive disk(::archive_read_disk_new(), &archive_read_free);
  const WriteArchive out(::archive_write_new(), &archive_write_free);
  const std::unique_ptr<archive_entry_linkresolver, decltype(&archive_entry_linkresolver_free)> links(
      ::archive_entry_linkresolver_new(), &archive_entry_linkresolver_free);
  ::archive_read_disk_set_symlink_physical(disk.get());
  ::archive_read_disk_set_behavior(disk.get(), ARCHIVE_READDISK_NO_FFLAGS);
  ::archive_write_set_format_pax(out.get());
  ::archive_write_set_bytes_per_block(out.get(), 256 * 1024);
  ::archive_entry_linkresolver_set_strategy(links.get(), ARCHIVE_FORMAT_TAR_PAX_INTERCHANGE);
  if (::archive_write_open_fd(out.get(), fd) != ARCHIVE_OK) return archive_error(out.get(), root);
  if (::archive_read_disk_open(disk.get(), root.c_str()) != ARCHIVE_OK) return archive_error(disk.get(), root);
  std::uint64_t skipped = 0;
  for (;;) {
    const Entry entry(::archive_entry_new(), &archive_entry_free);
    const int got = ::archive_read_next_header2(disk.get(), entry.get());
    if (got == ARCHIVE_EOF) break;
    if (got < ARCHIVE_WARN) return archive_error(disk.get(), root);
    ::archive_read_disk_descend(disk.get());
    if (::archive_entry_filetype(entry.get()) == AE_IFSOCK) {
      ++skipped;
      continue;
    }
    ::archive_entry_set_pathname(entry.get(), relative_path(::archive_entry_pathname(entry.get()), root).c_str());
    archive_entry* now = entry.get();
    archive_entry* later = nullptr;
    ::archive_entry_linkify(links.get(), &now, &later);
    if (now != nullptr) SBOXFS_TRY(write_entry(disk.get(), out.get(), now));
  }
  if (::archive_write_close(out.get()) != ARCHIVE_OK) return archive_error(out.get(), root);
  return skipped;
}

}  // namespace sboxfs::cli
