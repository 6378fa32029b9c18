// The private Postgres' programs and its data directory.
#pragma once

#include <string>

#include "sboxfs/base/result.hpp"
#include "sboxfs/services/home.hpp"
#include "sboxfs/services/process.hpp"

namespace sboxfs::services_detail {

/// The directory of postgres and initdb: of the version that made `data` where that exists, else the newest below
/// `installed` (/usr/lib/postgresql). ENOENT names what to install.
Result<std::string> postgres_programs(const std::string& data, const std::string& installed);

/// Makes the data directory if it is missing; all or nothing. `programs` is where initdb is.
Status ensure_data_directory(const Home& home, const std::string& programs, const ServiceUser& user);

}  // namespace sboxfs::services_detail
