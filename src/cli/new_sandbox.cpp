#include "new_sandbox.hpp"

#include <unistd.h>

#include "sboxfs/base/text.hpp"
#include "sboxfs/cli/arguments.hpp"
#include "sboxfs/cli/parse.hpp"

namespace sboxfs::cli {

SandboxId make_sandbox(Database& database, CreateRequest request) {
  if (const Status named = check_sandbox_name(request.name); !named.ok()) stop(Exit::usage, named.error().what);
  request.uid = ::geteuid();
  request.gid = ::getegid();
  const auto made = create_sandbox(*database.pool, database.tenant(), request);
  if (!made.ok() && made.code() == EEXIST) stop(Exit::exists, cat("a sandbox '", request.name, "' exists already"));
  if (!made.ok()) stop_for_store(made.error());
  return *made;
}

}  // namespace sboxfs::cli
