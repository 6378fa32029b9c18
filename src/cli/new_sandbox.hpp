// Making a sandbox, for create and exec --create.
#pragma once

#include <string>

#include "connect.hpp"
#include "sboxfs/store/admin.hpp"

namespace sboxfs::cli {

/// An empty sandbox whose root belongs to the caller. Throws Failure (usage, exists, ...).
SandboxId make_sandbox(Database& database, CreateRequest request);

}  // namespace sboxfs::cli
