// A file as POSIX sees it, in the plainest way: all its bytes, and what each 4 KiB block is.
#pragma once

#include <fcntl.h>

#include <cstdint>
#include <map>
#include <string>

#include "fake_session.hpp"

namespace sboxfs::test {

class FileModel {
 public:
  enum class Block { written, allocated };

  std::uint64_t size() const { return bytes_.size(); }
  const std::string& bytes() const { return bytes_; }
  std::uint64_t blocks() const { return blocks_.size(); }

  void write(std::uint64_t at, const std::string& data);
  void truncate(std::uint64_t size);
  void allocate(std::uint64_t from, std::uint64_t to, bool keep_size);
  void punch(std::uint64_t from, std::uint64_t to);
  void zero(std::uint64_t from, std::uint64_t to, bool keep_size);
  std::string read(std::uint64_t at, std::uint64_t length) const;
  /// What lseek answers; nothing: ENXIO.
  std::optional<std::uint64_t> seek(std::uint64_t at, bool data) const;
  /// Bytes that copy_file_range put there. Whether a hole was copied as one is free: the file tells, and the model
  /// insists only that a hole reads as zero.
  void copied(std::uint64_t at, const std::string& data, FakeSession& session, Ino ino);

 private:
  std::string bytes_;
  std::map<std::uint64_t, Block> blocks_;  // by number; the others are holes
};

/// Bytes [at, at + length) of an open file, as far as they go; throws when the read fails.
std::string read_at(FakeSession& session, Handle& handle, std::uint64_t at, std::uint32_t length);
/// Throws when the write fails.
void write_at(FakeSession& session, Handle& handle, std::uint64_t at, const std::string& data);
/// `length` bytes that differ from each other and, with another `salt`, from other calls' bytes.
std::string pattern(std::size_t length, unsigned salt);
std::uint64_t blocks_of(FakeSession& session, Ino ino);
std::uint64_t size_of(FakeSession& session, Ino ino);
Status resize(FakeSession& session, Ino ino, std::uint64_t size);

/// Whether file and model agree in bytes, size, blocks and holes (doctest).
void check_same(FakeSession& session, Handle& handle, const FileModel& model);

}  // namespace sboxfs::test
