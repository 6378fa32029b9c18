#include "sboxfs/pg/rows.hpp"

#include <libpq-fe.h>

#include <algorithm>

namespace sboxfs {
namespace {

template <class Integer>
Integer big_endian(std::string_view bytes) {
  if (bytes.size() != sizeof(Integer)) return 0;
  Integer value = 0;
  for (char byte : bytes) value = static_cast<Integer>((value << 8) | static_cast<unsigned char>(byte));
  return value;
}

/// Takes an int4 off the front.
std::int32_t take_int4(std::string_view& rest) {
  const std::string_view head = rest.substr(0, 4);
  rest.remove_prefix(head.size());
  return static_cast<std::int32_t>(big_endian<std::uint32_t>(head));
}

/// The elements of a one-dimensional array.
std::vector<std::string_view> elements(std::string_view rest) {
  std::vector<std::string_view> out;
  if (take_int4(rest) != 1) return out;
  take_int4(rest);  // NULLs or not: they come as length -1
  take_int4(rest);  // element type
  const std::int32_t count = take_int4(rest);
  take_int4(rest);  // lower bound
  for (std::int32_t i = 0; i < count && rest.size() >= 4; ++i) {
    const std::int32_t length = take_int4(rest);
    const std::string_view element = rest.substr(0, static_cast<std::size_t>(std::max(length, 0)));
    rest.remove_prefix(element.size());
    out.push_back(element);
  }
  return out;
}

}  // namespace

PgRows::PgRows(pg_result* result) : result_(result, PQclear) {}

int PgRows::size() const { return PQntuples(result_.get()); }

bool PgRows::is_null(int row, int column) const { return PQgetisnull(result_.get(), row, column) != 0; }

std::string_view PgRows::bytes(int row, int column) const {
  return {PQgetvalue(result_.get(), row, column), static_cast<std::size_t>(PQgetlength(result_.get(), row, column))};
}

std::int64_t PgRows::int8(int row, int column) const {
  return static_cast<std::int64_t>(big_endian<std::uint64_t>(bytes(row, column)));
}

std::int32_t PgRows::int4(int row, int column) const {
  return static_cast<std::int32_t>(big_endian<std::uint32_t>(bytes(row, column)));
}

bool PgRows::boolean(int row, int column) const {
  const std::string_view value = bytes(row, column);
  return value.size() == 1 && value[0] != 0;
}

Uuid PgRows::uuid(int row, int column) const {
  Uuid out;
  const std::string_view value = bytes(row, column);
  if (value.size() == out.bytes.size()) std::copy(value.begin(), value.end(), out.bytes.begin());
  return out;
}

std::vector<std::int64_t> PgRows::int8s(int row, int column) const {
  std::vector<std::int64_t> out;
  for (std::string_view element : elements(bytes(row, column))) {
    out.push_back(static_cast<std::int64_t>(big_endian<std::uint64_t>(element)));
  }
  return out;
}

std::vector<std::int32_t> PgRows::int4s(int row, int column) const {
  std::vector<std::int32_t> out;
  for (std::string_view element : elements(bytes(row, column))) {
    out.push_back(static_cast<std::int32_t>(big_endian<std::uint32_t>(element)));
  }
  return out;
}

std::vector<std::string_view> PgRows::byteas(int row, int column) const { return elements(bytes(row, column)); }

}  // namespace sboxfs
