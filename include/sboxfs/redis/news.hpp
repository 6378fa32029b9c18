// News as bytes on a channel.
#pragma once

#include <string>
#include <string_view>

#include "sboxfs/ports/bus.hpp"

namespace sboxfs {

/// A delta is left out when it takes 8 KiB or more: the listener then asks Postgres.
std::string encode_news(const News& news);
/// EBADMSG for anything encode_news() did not write.
Result<News> decode_news(std::string_view bytes);

}  // namespace sboxfs
