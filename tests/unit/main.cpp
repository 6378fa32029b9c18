#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>

/// What LeakSanitizer must not count: libpqxx 6 forgets a result after an error; libfuse frees its copy of the mount
/// point only when it unmounts itself; a file that is still open when the connection to the kernel ends is never
/// released. Without the sanitizer nobody calls this.
extern "C" const char* __lsan_default_suppressions();
extern "C" const char* __lsan_default_suppressions() {
  return "leak:libpqxx\nleak:fuse_session_mount\nleak:sboxfs::open_handle\n";
}
