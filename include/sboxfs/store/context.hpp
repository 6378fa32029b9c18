// Whose rows a store object works on.
#pragma once

#include <string>

#include "sboxfs/model/ids.hpp"

namespace sboxfs {

class PgPool;

/// The pool is not owned and must outlive what is built on this.
struct StoreContext {
  PgPool* pool = nullptr;
  std::string tenant;
  SandboxId sandbox;
  SessionId session;
};

}  // namespace sboxfs
