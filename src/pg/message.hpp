// libpq's messages, made fit for one line of a log.
#pragma once

#include <string>
#include <string_view>

namespace sboxfs::pg_detail {

/// The first line of `message` without its "ERROR:  " or "FATAL:  " and without control characters.
std::string one_line(std::string_view message);

}  // namespace sboxfs::pg_detail
