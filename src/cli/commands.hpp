// The subcommands, one file each.
#pragma once

#include <string>
#include <vector>

namespace sboxfs::cli {

using Words = std::vector<std::string>;

/// Each takes the words after its own name and returns the exit status, or throws Failure.
int run_init(const Words& words);
int run_services(const Words& words);
int run_create(const Words& words);
int run_copy(const Words& words);
int run_list(const Words& words);
int run_info(const Words& words);
int run_set(const Words& words);
int run_destroy(const Words& words);
int run_drain(const Words& words);
int run_gc(const Words& words);
int run_mount(const Words& words);
int run_umount(const Words& words);
int run_sync(const Words& words);
int run_exec(const Words& words);

struct Command {
  const char* name;
  const char* summary;
  int (*run)(const Words& words);
};

/// In the order of the help.
const std::vector<Command>& all_commands();

}  // namespace sboxfs::cli
