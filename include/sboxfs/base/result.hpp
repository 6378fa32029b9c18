// Result<T>: a value, or an errno with the sentence that explains it.
// Source of the numbers: errno(3). Thread rules: a Result is an ordinary value, not shared.
#pragma once

#include <cerrno>
#include <string>
#include <utility>
#include <variant>

namespace sboxfs {

/// What went wrong: an errno and, for messages to people, one sentence without secrets.
struct Error {
  int code = EIO;
  std::string what;
};

/// A value of type T, or an Error. `value()` may only be called when `ok()`.
template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}      // NOLINT(google-explicit-constructor)
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}  // NOLINT(google-explicit-constructor)

  bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }

  T& value() & { return *std::get_if<0>(&state_); }
  const T& value() const& { return *std::get_if<0>(&state_); }
  T&& value() && { return std::move(*std::get_if<0>(&state_)); }
  T& operator*() { return value(); }
  const T& operator*() const { return value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

  /// The error; only when !ok().
  const Error& error() const { return *std::get_if<1>(&state_); }
  /// 0, or the errno.
  int code() const { return ok() ? 0 : error().code; }

 private:
  std::variant<T, Error> state_;
};

/// Success without a value, or an Error.
template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : failed_(true), error_(std::move(error)) {}  // NOLINT(google-explicit-constructor)

  bool ok() const { return !failed_; }
  explicit operator bool() const { return ok(); }
  const Error& error() const { return error_; }
  int code() const { return failed_ ? error_.code : 0; }

 private:
  bool failed_ = false;
  Error error_;
};

using Status = Result<void>;

/// `return fail(ENOENT)` or `return fail(EIO, "why")` in a function that returns Result<T>.
inline Error fail(int code) { return Error{code, {}}; }
inline Error fail(int code, std::string what) { return Error{code, std::move(what)}; }

}  // namespace sboxfs

/// Leaves the calling function with the error of EXPR when it failed.
#define SBOXFS_TRY(EXPR)                                                                                           \
  do {                                                                                                             \
    if (const auto& sboxfs_status_ = (EXPR); !sboxfs_status_.ok()) return ::sboxfs::Error(sboxfs_status_.error()); \
  } while (false)

#define SBOXFS_CONCAT_INNER(a, b) a##b
#define SBOXFS_CONCAT(a, b) SBOXFS_CONCAT_INNER(a, b)

/// `SBOXFS_ASSIGN(auto x, f());` declares x with f()'s value, or returns f()'s error.
#define SBOXFS_ASSIGN(DECL, EXPR) SBOXFS_ASSIGN_INNER(SBOXFS_CONCAT(sboxfs_result_, __LINE__), DECL, EXPR)
#define SBOXFS_ASSIGN_INNER(TMP, DECL, EXPR)          \
  auto TMP = (EXPR);                                  \
  if (!TMP.ok()) return ::sboxfs::Error(TMP.error()); \
  DECL = std::move(TMP).value()
