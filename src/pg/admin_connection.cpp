#include "sboxfs/pg/admin_connection.hpp"

#include "message.hpp"
#include "pqxx_shim.hpp"
#include "sboxfs/base/text.hpp"
#include "sboxfs/pg/connection.hpp"
#include "sboxfs/pg/conninfo.hpp"
#include "sboxfs/pg/failure.hpp"
#include "wait.hpp"
#include "watchdog.hpp"

namespace sboxfs {
namespace {

Error refusal(std::string state, const char* what) {
  return to_error({PgOutcome::refused, std::move(state), cat("Postgres: ", pg_detail::one_line(what))});
}

/// Calls `f` and turns libpqxx's exceptions into errors.
template <class F>
auto guarded(F f) -> decltype(f()) {
  try {
    return f();
  } catch (const pqxx::transaction_rollback& e) {  // in libpqxx 6 not an sql_error
    return refusal("40001", e.what());
  } catch (const pqxx::insufficient_privilege& e) {  // in libpqxx 6 without its sqlstate
    return refusal("42501", e.what());
  } catch (const pqxx::sql_error& e) {
    return refusal(e.sqlstate(), e.what());
  } catch (const std::exception& e) {  // broken_connection, in_doubt_error, failure
    return fail(EIO, cat("Postgres: ", pg_detail::one_line(e.what())));
  }
}

class Transaction final : public AdminTransaction {
 public:
  Transaction(pqxx::work& work, std::function<void(bool)> watch) : work_(work), watch_(std::move(watch)) {}

  Status script(const std::string& sql) override {
    const Watched watched(watch_);
    return guarded([&]() -> Status {
      work_.exec(sql);
      return {};
    });
  }

  Result<std::vector<Row>> query(const std::string& sql, const std::vector<std::string>& params) override {
    const Watched watched(watch_);
    return guarded([&]() -> Result<std::vector<Row>> {
      std::vector<Row> rows;
      const pqxx::result result = params.empty() ? work_.exec(sql) : pg_detail::exec_params(work_, sql, params);
      for (const auto& found : result) {
        Row& row = rows.emplace_back();
        for (const auto& field : found) {
          row.push_back(field.is_null() ? std::nullopt : std::optional<std::string>(field.c_str()));
        }
      }
      return rows;
    });
  }

  std::string identifier(const std::string& name) override { return work_.quote_name(name); }
  std::string literal(const std::string& value) override { return work_.quote(value); }

 private:
  struct Watched {
    explicit Watched(const std::function<void(bool)>& watch) : watch_(watch) { watch_(true); }
    ~Watched() { watch_(false); }
    Watched(const Watched&) = delete;
    Watched& operator=(const Watched&) = delete;
    const std::function<void(bool)>& watch_;
  };

  pqxx::work& work_;
  const std::function<void(bool)> watch_;
};

class Connection final : public AdminConnection {
 public:
  Connection(const std::string& conninfo, std::int64_t timeout_ns) : connection_(conninfo), timeout_ns_(timeout_ns) {}

  Status transaction(const std::function<Status(AdminTransaction&)>& body) override {
    return guarded([&]() -> Status {
      const auto watch = [this](bool on) { this->watch(on); };
      watch(true);
      pqxx::work work(connection_);
      Transaction transaction(work, watch);
      SBOXFS_TRY(body(transaction));
      watch(true);
      work.commit();
      watch(false);
      return {};
    });
  }

 private:
  void watch(bool on) {
    if (on) {
      watchdog_.arm(connection_.sock(), pg_detail::now_ns() + timeout_ns_);
    } else {
      watchdog_.disarm();
    }
  }

  pqxx::connection connection_;
  const std::int64_t timeout_ns_;
  pg_detail::Watchdog watchdog_;  // last: it must stop before the socket is closed
};

}  // namespace

Result<std::unique_ptr<AdminConnection>> AdminConnection::connect(const PgOptions& options) {
  // Once over libpq, which has time-outs and tells a refused password from a server that is away.
  auto probe = PgConnection::connect(options, pg_detail::now_ns() + options.io_timeout_ns);
  if (const auto* failure = std::get_if<PgFailure>(&probe)) return to_error(*failure);
  SBOXFS_ASSIGN(Conninfo conninfo, Conninfo::parse(options.conninfo));
  conninfo.set("connect_timeout", std::to_string(options.io_timeout_ns / kSecondNs + 1));
  conninfo.set("fallback_application_name", options.application_name);
  return guarded([&]() -> Result<std::unique_ptr<AdminConnection>> {
    return std::unique_ptr<AdminConnection>(new Connection(conninfo.text(), options.io_timeout_ns));
  });
}

}  // namespace sboxfs
