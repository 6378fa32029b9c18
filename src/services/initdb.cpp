#include "initdb.hpp"

#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>

#include "sboxfs/base/text.hpp"
#include "sboxfs/base/text_file.hpp"
#include "servers.hpp"

namespace sboxfs::services_detail {
namespace {

std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

bool has_programs(const std::string& directory) {
  return ::access((directory + "/postgres").c_str(), X_OK) == 0 && ::access((directory + "/initdb").c_str(), X_OK) == 0;
}

}  // namespace

Result<std::string> postgres_programs(const std::string& data, const std::string& installed) {
  if (const auto version = read_text_file(data + "/PG_VERSION"); version.ok()) {
    const std::string major = first_line(*version);
    const std::string directory = cat(installed, "/", major, "/bin");
    if (has_programs(directory)) return directory;
    return fail(ENOENT, cat(data, " was made by Postgres ", major, ": install the package postgresql-", major));
  }
  std::string best;
  long best_major = 0;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(installed, error)) {
    const long major = std::strtol(entry.path().filename().c_str(), nullptr, 10);
    const std::string directory = entry.path().string() + "/bin";
    if (major <= best_major || !has_programs(directory)) continue;
    best_major = major;
    best = directory;
  }
  if (best.empty())
    return fail(ENOENT, cat("no Postgres server below ", installed, ": install the package postgresql"));
  return best;
}

Status ensure_data_directory(const Home& home, const std::string& programs, const ServiceUser& user) {
  const std::string data = home.postgres_dir();
  if (::access((data + "/PG_VERSION").c_str(), F_OK) == 0) return {};
  // Made beside and renamed: a first start that was cut off leaves nothing that looks like a database.
  const std::string fresh = data + ".new";
  std::error_code error;
  std::filesystem::remove_all(fresh, error);
  if (error) return fail(error.value(), cat("can not remove ", fresh));
  SBOXFS_TRY(make_private_directory(fresh, user.uid, user.gid));
  Program initdb;
  initdb.argv = {programs + "/initdb", "--pgdata=" + fresh, "--username=postgres", "--auth-local=trust",
                 "--auth-host=reject", "--encoding=UTF8",   "--locale=C.UTF-8",    "--data-checksums"};
  initdb.cwd = fresh;
  initdb.output = home.log_dir() + "/postgres.log";
  SBOXFS_ASSIGN(const int status, run_program(initdb, user));
  if (status != 0) {
    return fail(EIO, cat("initdb failed: ", last_line(initdb.output), " (", initdb.output, ")"));
  }
  if (::rename(fresh.c_str(), data.c_str()) != 0) return fail(errno, cat("can not rename ", fresh));
  return {};
}

}  // namespace sboxfs::services_detail
