// Parameters of a statement in Postgres's binary format.
// Source of the formats: the type's _send function (src/backend/utils/adt/int8.c, uuid.c, arrayfuncs.c array_send).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "sboxfs/model/ids.hpp"

namespace sboxfs {

/// Built in the order of $1, $2, ...; an ordinary value.
class PgParams {
 public:
  PgParams& int8(std::int64_t value);
  PgParams& uint8(std::uint64_t value) { return int8(static_cast<std::int64_t>(value)); }
  PgParams& int4(std::int32_t value);
  PgParams& boolean(bool value);
  PgParams& text(std::string_view value);
  PgParams& bytea(std::string_view value);
  PgParams& uuid(const Uuid& value);
  PgParams& null_uuid();
  PgParams& null_int8();

  /// Arrays: `get(item)` gives the element: an integer, or something that converts to string_view.
  template <class Range, class Get>
  PgParams& int8s(const Range& items, Get get) {
    begin_array(kInt8, items.size());
    for (const auto& item : items) put_int8(static_cast<std::int64_t>(get(item)));
    return end();
  }
  template <class Range, class Get>
  PgParams& int4s(const Range& items, Get get) {
    begin_array(kInt4, items.size());
    for (const auto& item : items) put_int4(static_cast<std::int32_t>(get(item)));
    return end();
  }
  template <class Range, class Get>
  PgParams& byteas(const Range& items, Get get) {
    begin_array(kBytea, items.size());
    for (const auto& item : items) put_bytes(get(item));
    return end();
  }
  template <class Range, class Get>
  PgParams& uuids(const Range& items, Get get) {
    begin_array(kUuid, items.size());
    for (const auto& item : items) put_uuid(get(item));
    return end();
  }
  template <class Range, class Get>
  PgParams& texts(const Range& items, Get get) {
    begin_array(kText, items.size());
    for (const auto& item : items) put_bytes(get(item));
    return end();
  }

  int count() const { return static_cast<int>(types_.size()); }
  const unsigned* types() const { return types_.data(); }
  const int* lengths() const { return lengths_.data(); }
  const int* formats() const { return formats_.data(); }
  /// Pointers to the values, valid until the object changes or goes.
  std::vector<const char*> values() const;
  /// Bytes of all values.
  std::size_t bytes() const { return buffer_.size(); }

 private:
  /// Type OIDs, fixed by Postgres's catalogue (pg_type.dat).
  struct ArrayType {
    unsigned array = 0;
    unsigned element = 0;
  };
  static constexpr ArrayType kInt8{1016, 20};
  static constexpr ArrayType kInt4{1007, 23};
  static constexpr ArrayType kBytea{1001, 17};
  static constexpr ArrayType kText{1009, 25};
  static constexpr ArrayType kUuid{2951, 2950};

  void begin(unsigned type);
  void begin_array(ArrayType type, std::size_t count);
  void append_int4(std::int32_t value);
  void append_int8(std::int64_t value);
  void put_int8(std::int64_t value);
  void put_int4(std::int32_t value);
  void put_bytes(std::string_view value);
  void put_uuid(const Uuid& value);
  PgParams& end();
  PgParams& null(unsigned type);

  static constexpr std::size_t kNull = static_cast<std::size_t>(-1);
  std::string buffer_;
  std::vector<std::size_t> starts_;
  std::vector<unsigned> types_;
  std::vector<int> lengths_;
  std::vector<int> formats_;
};

}  // namespace sboxfs
