#include "sboxfs/cli/exit_codes.hpp"

namespace sboxfs::cli {

std::string_view exit_meaning(Exit exit) {
  switch (exit) {
    case Exit::ok: return "success";
    case Exit::failed: return "failure that is none of those below";
    case Exit::usage: return "wrong usage, or a value or configuration file that is not valid";
    case Exit::not_found: return "no such sandbox, mount or file";
    case Exit::exists: return "a sandbox of that name exists";
    case Exit::no_tenant: return "no such tenant";
    case Exit::unreachable: return "Postgres or Redis can not be reached or started";
    case Exit::refused: return "Postgres or Redis refuses the role or the password";
    case Exit::schema: return "the database has no schema, or one of a version this program does not know";
    case Exit::mount_point: return "the mount point is missing, not a directory, not empty or mounted on";
    case Exit::busy: return "the mount is in use";
    case Exit::forbidden: return "this host does not allow the mount";
    case Exit::lost: return "changes could not be committed";
    case Exit::unpublished: return "committed, but Redis could not be told (sboxfs drain does it later)";
    case Exit::declined: return "the question was not answered with yes";
    case Exit::exec_lock_timeout: return "the exec lock was not free within --lock-timeout";
    case Exit::exec_failed: return "sboxfs itself failed, a commit that failed included";
    case Exit::exec_not_executable: return "the command can not be executed";
    case Exit::exec_not_found: return "the command was not found";
  }
  return "unknown";
}

Exit exit_for_store(const Error& error) {
  switch (error.code) {
    case ENOENT: return Exit::not_found;
    case EEXIST: return Exit::exists;
    case EINVAL: return Exit::usage;
    case EACCES: return Exit::refused;
    case EPROTO: return Exit::schema;
    case EIO:
    case EAGAIN:
    case ECONNREFUSED:
    case ETIMEDOUT: return Exit::unreachable;
    default: return Exit::failed;
  }
}

Exit exit_for_mount(const Error& error) {
  switch (error.code) {
    case EBUSY:
    case ENOTDIR:
    case ENOTEMPTY: return Exit::mount_point;
    case EPERM: return Exit::forbidden;
    case EIO: return Exit::failed;
    default: return exit_for_store(error);
  }
}

}  // namespace sboxfs::cli
