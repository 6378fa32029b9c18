// Changes that could not be committed because the lease was lost for good, saved for a person to look at.
#pragma once

#include <string>
#include <vector>

#include "sboxfs/base/result.hpp"
#include "sboxfs/journal/journal.hpp"

namespace sboxfs {

/// Writes what the batches hold into a new tar, `home`/lost/NAME-TIME.tar (mode 0600), and returns its path.
/// Every changed file is an entry under its name as far as the batches know it (else inode-N), with the bytes that
/// were still in memory at their offsets and zeros in between; removed names are listed in the entry REMOVED.
/// Errors: the errno of creating or writing the file.
Result<std::string> save_lost(const std::string& home, const std::string& name, const std::vector<InFlight>& lost);

}  // namespace sboxfs
