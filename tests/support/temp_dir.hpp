// A directory that goes with the test.
#pragma once

#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <stdexcept>
#include <string>

namespace sboxfs::test {

/// Made 0711, so that a service that runs as another user can pass through it.
class TempDir {
 public:
  TempDir() {
    std::string pattern = std::filesystem::temp_directory_path().string() + "/sboxfs-test-XXXXXX";
    if (::mkdtemp(pattern.data()) == nullptr || ::chmod(pattern.c_str(), 0711) != 0) {
      throw std::runtime_error("can not make a temporary directory");
    }
    path_ = pattern;
  }
  ~TempDir() {
    std::error_code ignored;  // a test that left a busy file behind has failed already
    std::filesystem::remove_all(path_, ignored);
  }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace sboxfs::test
