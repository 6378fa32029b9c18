// libpqxx 6 and 7 under one name: 7 deprecates exec_params, 6 has nothing else.
#pragma once

#include <pqxx/pqxx>
#include <string>
#include <vector>

namespace sboxfs::pg_detail {

inline pqxx::result exec_params(pqxx::transaction_base& transaction, const std::string& sql,
                                const std::vector<std::string>& values) {
#if PQXX_VERSION_MAJOR >= 7
  pqxx::params params;
  for (const std::string& value : values) params.append(value);
  return transaction.exec(sql, params);
#else
  return transaction.exec_params(sql, pqxx::prepare::make_dynamic_params(values));
#endif
}

}  // namespace sboxfs::pg_detail
