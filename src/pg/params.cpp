#include "sboxfs/pg/params.hpp"

namespace sboxfs {
namespace {

constexpr unsigned kBoolOid = 16;
constexpr unsigned kByteaOid = 17;
constexpr unsigned kInt8Oid = 20;
constexpr unsigned kInt4Oid = 23;
constexpr unsigned kTextOid = 25;
constexpr unsigned kUuidOid = 2950;

template <class Integer>
void append_big_endian(std::string& out, Integer value) {
  for (int shift = static_cast<int>(sizeof value) * 8 - 8; shift >= 0; shift -= 8) {
    out += static_cast<char>((value >> shift) & 0xff);
  }
}

}  // namespace

void PgParams::begin(unsigned type) {
  types_.push_back(type);
  formats_.push_back(1);
  starts_.push_back(buffer_.size());
}

PgParams& PgParams::end() {
  lengths_.push_back(static_cast<int>(buffer_.size() - starts_.back()));
  return *this;
}

PgParams& PgParams::null(unsigned type) {
  begin(type);
  starts_.back() = kNull;
  lengths_.push_back(0);
  return *this;
}

void PgParams::append_int4(std::int32_t value) { append_big_endian(buffer_, static_cast<std::uint32_t>(value)); }
void PgParams::append_int8(std::int64_t value) { append_big_endian(buffer_, static_cast<std::uint64_t>(value)); }

PgParams& PgParams::int8(std::int64_t value) {
  begin(kInt8Oid);
  append_int8(value);
  return end();
}

PgParams& PgParams::int4(std::int32_t value) {
  begin(kInt4Oid);
  append_int4(value);
  return end();
}

PgParams& PgParams::boolean(bool value) {
  begin(kBoolOid);
  buffer_ += static_cast<char>(value ? 1 : 0);
  return end();
}

PgParams& PgParams::text(std::string_view value) {
  begin(kTextOid);
  buffer_ += value;
  return end();
}

PgParams& PgParams::bytea(std::string_view value) {
  begin(kByteaOid);
  buffer_ += value;
  return end();
}

PgParams& PgParams::uuid(const Uuid& value) {
  begin(kUuidOid);
  buffer_.append(reinterpret_cast<const char*>(value.bytes.data()), value.bytes.size());
  return end();
}

PgParams& PgParams::null_uuid() { return null(kUuidOid); }
PgParams& PgParams::null_int8() { return null(kInt8Oid); }

void PgParams::begin_array(ArrayType type, std::size_t count) {
  begin(type.array);
  append_int4(count == 0 ? 0 : 1);  // dimensions
  append_int4(0);                   // no NULLs
  append_int4(static_cast<std::int32_t>(type.element));
  if (count == 0) return;
  append_int4(static_cast<std::int32_t>(count));
  append_int4(1);  // lower bound
}

void PgParams::put_int8(std::int64_t value) {
  append_int4(8);
  append_int8(value);
}

void PgParams::put_int4(std::int32_t value) {
  append_int4(4);
  append_int4(value);
}

void PgParams::put_bytes(std::string_view value) {
  append_int4(static_cast<std::int32_t>(value.size()));
  buffer_ += value;
}

void PgParams::put_uuid(const Uuid& value) {
  append_int4(static_cast<std::int32_t>(value.bytes.size()));
  buffer_.append(reinterpret_cast<const char*>(value.bytes.data()), value.bytes.size());
}

std::vector<const char*> PgParams::values() const {
  std::vector<const char*> out;
  out.reserve(starts_.size());
  for (std::size_t start : starts_) out.push_back(start == kNull ? nullptr : buffer_.data() + start);
  return out;
}

}  // namespace sboxfs
