// Rows in Postgres's binary format. Columns are counted from 0; views live as long as the PgRows (or a copy of it).
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "sboxfs/model/ids.hpp"

struct pg_result;

namespace sboxfs {

/// A shared, read-only result. The reading functions must match the column's type; NULL and a value of another length
/// read as zero or empty.
class PgRows {
 public:
  PgRows() = default;
  /// Takes ownership of `result`.
  explicit PgRows(pg_result* result);

  int size() const;
  bool empty() const { return size() == 0; }

  bool is_null(int row, int column) const;
  std::string_view bytes(int row, int column) const;  ///< bytea or text
  std::int64_t int8(int row, int column) const;
  std::uint64_t uint8(int row, int column) const { return static_cast<std::uint64_t>(int8(row, column)); }
  std::int32_t int4(int row, int column) const;
  std::uint32_t uint4(int row, int column) const { return static_cast<std::uint32_t>(int4(row, column)); }
  bool boolean(int row, int column) const;
  Uuid uuid(int row, int column) const;
  /// One-dimensional arrays; NULL reads as empty.
  std::vector<std::int64_t> int8s(int row, int column) const;
  std::vector<std::int32_t> int4s(int row, int column) const;
  std::vector<std::string_view> byteas(int row, int column) const;

 private:
  std::shared_ptr<pg_result> result_;
};

}  // namespace sboxfs
