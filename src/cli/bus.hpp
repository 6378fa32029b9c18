// One sandbox's door to Redis, for commands that run without a mount.
#pragma once

#include <memory>

#include "connect.hpp"
#include "sboxfs/model/ids.hpp"
#include "sboxfs/ports/bus.hpp"

namespace sboxfs::cli {

/// Connects when it is used. Throws Failure (usage) when the address is not valid.
std::unique_ptr<Bus> open_bus(const Endpoints& endpoints, const SandboxId& sandbox);

}  // namespace sboxfs::cli
