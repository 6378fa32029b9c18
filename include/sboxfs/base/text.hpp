// Strings from pieces, without fmt (which costs seconds a file to compile).
#pragma once

#include <string>
#include <string_view>
#include <type_traits>

namespace sboxfs {

namespace text_detail {
inline void append(std::string& out, std::string_view piece) { out += piece; }
inline void append(std::string& out, char piece) { out += piece; }
// A template, or a string literal would rather become a bool than a string_view.
template <class T>
requires std::is_same_v<T, bool>
void append(std::string& out, T piece) { out += piece ? "true" : "false"; }
template <class T>
requires(std::is_arithmetic_v<T> && !std::is_same_v<T, bool> && !std::is_same_v<T, char>) void append(std::string& out,
                                                                                                      T piece) {
  out += std::to_string(piece);
}
}  // namespace text_detail

/// The pieces (strings and numbers) one after the other.
template <class... Pieces>
std::string cat(const Pieces&... pieces) {
  std::string out;
  (text_detail::append(out, pieces), ...);
  return out;
}

/// Lower-case hexadecimal of the bytes.
std::string to_hex(std::string_view bytes);

}  // namespace sboxfs
