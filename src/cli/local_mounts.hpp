// From what people type to this host's mounts.
#pragma once

#include <string>
#include <vector>

#include "sboxfs/exec/mount_record.hpp"

namespace sboxfs::cli {

/// The living mounts `word` means: a directory that is one or lies in one, else those of the sandbox with this name or
/// id. Empty when there is none.
std::vector<MountRecord> mounts_named(const Home& home, const std::string& word);

}  // namespace sboxfs::cli
