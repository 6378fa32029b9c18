#include "import.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <iostream>

#include "archive.hpp"
#include "sboxfs/base/fd.hpp"

namespace sboxfs::cli {
namespace {

constexpr std::size_t kBlock = 256 * 1024;

Status copy_data(archive* in, archive* disk, const std::string& path) {
  const void* data = nullptr;
  std::size_t size = 0;
  la_int64_t offset = 0;
  for (;;) {
    const int got = ::archive_read_data_block(in, &data, &size, &offset);
    if (got == ARCHIVE_EOF) return {};
    if (got < ARCHIVE_WARN) return archive_error(in, path);
    if (::archive_write_data_block(disk, data, size, offset) < ARCHIVE_OK) return archive_error(disk, path);
  }
}

int extract_flags() {
  int flags = ARCHIVE_EXTRACT_TIME | ARCHIVE_EXTRACT_PERM | ARCHIVE_EXTRACT_ACL | ARCHIVE_EXTRACT_XATTR |
              ARCHIVE_EXTRACT_SPARSE | ARCHIVE_EXTRACT_SECURE_SYMLINKS | ARCHIVE_EXTRACT_SECURE_NODOTDOT |
              ARCHIVE_EXTRACT_SECURE_NOABSOLUTEPATHS;
  if (::geteuid() == 0) flags |= ARCHIVE_EXTRACT_OWNER;
  return flags;
}

/// To the end of the pipe: what follows a tar's end mark is padding, and its writer wants to get rid of it.
void drain(int fd) {
  std::array<char, 8192> piece{};
  for (;;) {
    const ssize_t got = ::read(fd, piece.data(), piece.size());
    if (got == 0 || (got < 0 && errno != EINTR)) return;
  }
}

/// libarchive leaves the times of the directory it unpacks into to the last entry made there; the archive's own say is
/// kept here until the end.
struct RootTimes {
  std::array<timespec, 2> times{timespec{0, UTIME_OMIT}, timespec{0, UTIME_OMIT}};

  void note(archive_entry* entry, const std::string& path) {
    if (path != "." && path != "./") return;
    if (::archive_entry_atime_is_set(entry) != 0) {
      times[0] = {::archive_entry_atime(entry), ::archive_entry_atime_nsec(entry)};
    }
    if (::archive_entry_mtime_is_set(entry) != 0) {
      times[1] = {::archive_entry_mtime(entry), ::archive_entry_mtime_nsec(entry)};
    }
  }
};

/// Unpacks the tar that comes from `fd` into the working directory.
Result<ImportReport> unpack(int fd) {
  const ReadArchive in(::archive_read_new(), &archive_read_free);
  const WriteArchive disk(::archive_write_disk_new(), &archive_write_free);
  // As tar(1) does: owners and ACL entries that an archive names are looked up here.
  ::archive_write_disk_set_standard_lookup(disk.get());
  ::archive_read_support_filter_all(in.get());
  ::archive_read_support_format_tar(in.get());
  ::archive_write_disk_set_options(disk.get(), extract_flags());
  if (::archive_read_open_fd(in.get(), fd, kBlock) != ARCHIVE_OK) return archive_error(in.get(), "not a tar");
  ImportReport report;
  RootTimes root;
  for (;;) {
    archive_entry* entry = nullptr;
    const int got = ::archive_read_next_header(in.get(), &entry);
    if (got == ARCHIVE_EOF) break;
    if (got < ARCHIVE_WARN) return archive_error(in.get(), "can not read the tar");
    const std::string path = ::archive_entry_pathname(entry);
    root.note(entry, path);
    // A warning here is metadata that could not be set: this promises all of it.
    if (::archive_write_header(disk.get(), entry) != ARCHIVE_OK) return archive_error(disk.get(), path);
    if (::archive_entry_size(entry) > 0) SBOXFS_TRY(copy_data(in.get(), disk.get(), path));
    if (::archive_write_finish_entry(disk.get()) != ARCHIVE_OK) return archive_error(disk.get(), path);
    ++report.entries;
  }
  if (::archive_write_close(disk.get()) != ARCHIVE_OK) return archive_error(disk.get(), "can not finish");
  if (::utimensat(AT_FDCWD, ".", root.times.data(), 0) != 0) return fail(errno, "can not set the root's times");
  return report;
}

/// libarchive walks a directory by changing its working directory, and unpacks into the working directory: so the one
/// is done in a child.
Result<ImportReport> import_directory(const std::string& source) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return fail(errno, "can not make a pipe");
  UniqueFd read_end(ends[0]);
  UniqueFd write_end(ends[1]);
  const pid_t pid = ::fork();
  if (pid < 0) return fail(errno, "can not start a process");
  if (pid == 0) {
    read_end.reset();
    const auto skipped = write_directory(source, write_end.get());
    // A broken pipe is the other side's failure, which that side reports.
    if (!skipped.ok() && skipped.code() != EPIPE) std::cerr << "sboxfs create: " << skipped.error().what << "\n";
    if (skipped.ok() && *skipped > 0) std::cerr << "sboxfs create: warning: " << *skipped << " sockets left out\n";
    ::_exit(skipped.ok() ? 0 : 1);
  }
  write_end.reset();
  auto report = unpack(read_end.get());
  if (report.ok()) drain(read_end.get());
  read_end.reset();
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (report.ok() && status != 0) return fail(EIO, cat("can not read all of ", source));
  return report;
}

}  // namespace

Result<ImportReport> import_tree(const std::string& source, const std::string& target) {
  std::string absolute = source;
  struct stat attr {};
  UniqueFd file;
  if (source != "-") {
    if (::stat(source.c_str(), &attr) != 0) return fail(errno, cat("can not read ", source));
    std::array<char, PATH_MAX> real{};
    if (::realpath(source.c_str(), real.data()) == nullptr) return fail(errno, cat("can not read ", source));
    absolute = real.data();
    if (!S_ISDIR(attr.st_mode)) {
      file.reset(::open(absolute.c_str(), O_RDONLY | O_CLOEXEC));
      if (!file) return fail(errno, cat("can not read ", source));
    }
  }
  if (::chdir(target.c_str()) != 0) return fail(errno, cat("can not enter ", target));
  // Modes come from the source, not from the caller's mask.
  const mode_t mask = ::umask(0);
  auto report = source == "-" ? unpack(STDIN_FILENO) : file ? unpack(file.get()) : import_directory(absolute);
  ::umask(mask);
  if (::chdir("/") != 0) return fail(errno, "can not leave the mount");
  return report;
}

}  // namespace sboxfs::cli
