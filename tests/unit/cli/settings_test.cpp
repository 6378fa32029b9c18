#include "sboxfs/cli/settings.hpp"

#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>

#include "sboxfs/base/text_file.hpp"
#include "sboxfs/services/home.hpp"
#include "temp_dir.hpp"

using namespace sboxfs;
using namespace sboxfs::cli;

namespace {

SettingLayer addresses(const std::string& postgres, const std::string& redis) {
  SettingLayer layer;
  layer.postgres = postgres;
  layer.redis = redis;
  return layer;
}

}  // namespace

TEST_CASE("settings: nothing said means the private services and the tenant default") {
  const auto settings = resolve_settings({});
  REQUIRE(settings.ok());
  CHECK(settings->private_services);
  CHECK(settings->tenant == "default");
  CHECK_FALSE(settings->pooler);
}

TEST_CASE("settings: a later layer wins, key by key") {
  SettingLayer file = addresses("host=file", "redis://file");
  file.tenant = "acme";
  file.pooler = true;
  SettingLayer environment;
  environment.postgres = "host=environment";
  SettingLayer flags;
  flags.redis = "redis://flag";
  const auto settings = resolve_settings({file, environment, flags});
  REQUIRE(settings.ok());
  CHECK(settings->postgres == "host=environment");
  CHECK(settings->redis == "redis://flag");
  CHECK(settings->tenant == "acme");
  CHECK(settings->pooler);
  CHECK_FALSE(settings->private_services);
}

TEST_CASE("settings: one service without the other is refused, and the sentence says which is missing") {
  SettingLayer only_postgres;
  only_postgres.postgres = "host=x";
  CHECK(resolve_settings({only_postgres}).error().what.find("none of Redis") != std::string::npos);
  SettingLayer only_redis;
  only_redis.redis = "redis://x";
  CHECK(resolve_settings({only_redis}).error().what.find("none of Postgres") != std::string::npos);
}

TEST_CASE("settings: a configuration file has keys, comments and spaces; errors name file and line") {
  const auto layer = parse_settings(
      "# services\n\n  postgres = host=db user=x\nredis=redis://cache:6379/0\nredis-password-file = /etc/secret\n"
      "tenant = acme\npooler = yes\n",
      "f");
  REQUIRE(layer.ok());
  CHECK(layer->postgres == "host=db user=x");
  CHECK(layer->redis == "redis://cache:6379/0");
  CHECK(layer->redis_password_file == "/etc/secret");
  CHECK(layer->tenant == "acme");
  CHECK(layer->pooler == true);
  CHECK(parse_settings("tenant = a\nnonsense\n", "f").error().what == "f:2: not 'key = value'");
  CHECK(parse_settings("colour = red\n", "f").error().what == "f:1: unknown key 'colour'");
  CHECK(parse_settings("pooler = maybe\n", "f").code() == EINVAL);
}

TEST_CASE("settings: the environment speaks only through variables that are not empty") {
  ::setenv("SBOXFS_POSTGRES", "host=e", 1);
  ::setenv("SBOXFS_REDIS", "", 1);
  const SettingLayer layer = settings_from_environment();
  CHECK(layer.postgres == "host=e");
  CHECK_FALSE(layer.redis.has_value());
  ::unsetenv("SBOXFS_POSTGRES");
  ::unsetenv("SBOXFS_REDIS");
}

TEST_CASE("settings: the user's file is read from XDG_CONFIG_HOME") {
  const test::TempDir dir;
  REQUIRE(std::filesystem::create_directory(dir.path() + "/sboxfs"));
  REQUIRE(write_text_file(dir.path() + "/sboxfs/config", "tenant = mine\n", 0600).ok());
  ::setenv("XDG_CONFIG_HOME", dir.path().c_str(), 1);
  const auto layers = settings_from_files();
  ::unsetenv("XDG_CONFIG_HOME");
  REQUIRE(layers.ok());
  REQUIRE_FALSE(layers->empty());
  CHECK(layers->back().tenant == "mine");
}
