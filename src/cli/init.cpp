// sboxfs init: schema, roles, tenant; migrations.
#include <iostream>

#include "commands.hpp"
#include "connect.hpp"
#include "sboxfs/base/text.hpp"
#include "sboxfs/base/text_file.hpp"
#include "sboxfs/cli/arguments.hpp"
#include "sboxfs/store/admin.hpp"
#include "sboxfs/store/tenant.hpp"

namespace sboxfs::cli {
namespace {

constexpr const char* kAbout =
    "Brings the schema to the newest version this program knows and makes the tenant with its role.\n"
    "What exists stays; it may run on several hosts at once. --postgres names an administrator: one who may\n"
    "create roles (CREATEROLE) and schemas in the database (CREATE); no superuser is needed.";

InitRequest request_from(const Arguments& arguments, const Settings& settings) {
  InitRequest request;
  request.tenant = settings.tenant;
  request.admin.pooler = settings.pooler;
  if (settings.private_services) {
    const auto addresses = start_services(home_or_stop());
    if (!addresses.ok()) stop(Exit::unreachable, addresses.error().what);
    request.admin.conninfo = addresses->admin_postgres;
  } else {
    request.admin.conninfo = settings.postgres;
  }
  if (const auto file = arguments.value("tenant-password-file")) {
    const auto text = read_text_file(*file);
    if (!text.ok()) stop(Exit::usage, text.error().what);
    request.tenant_password = text->substr(0, text->find_first_of("\r\n"));
  }
  return request;
}

}  // namespace

int run_init(const Words& words) {
  Arguments arguments("init", "[OPTION...]", kAbout);
  arguments.add({"tenant-password-file", "FILE", "set the tenant role's password to the file's first line"});
  arguments.add_connection();
  if (!arguments.parse(words)) return 0;
  const Settings settings = arguments.settings();
  if (const Status named = check_tenant_name(settings.tenant); !named.ok()) stop(Exit::usage, named.error().what);
  const auto report = init_store(request_from(arguments, settings));
  if (!report.ok()) stop_for_store(report.error());
  if (report->schema_from == report->schema_to) {
    std::cout << "schema: version " << report->schema_to << ", nothing to do\n";
  } else if (report->schema_from == 0) {
    std::cout << "schema: version " << report->schema_to << " made\n";
  } else {
    std::cout << "schema: version " << report->schema_from << " migrated to " << report->schema_to << "\n";
  }
  std::cout << "tenant: " << settings.tenant << (report->tenant_created ? " made" : " exists") << " (role "
            << tenant_role(settings.tenant) << ")\n";
  return 0;
}

}  // namespace sboxfs::cli
