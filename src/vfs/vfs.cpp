#include "sboxfs/vfs/vfs.hpp"

#include "credentials.hpp"

namespace sboxfs {

Vfs::Vfs(State& state, Fetcher& fetcher, ContentCache& cache, Committer& committer, WriteAccess& access,
         const Clock& clock, const VfsOptions& options)
    : state_(state),
      fetcher_(fetcher),
      cache_(cache),
      committer_(committer),
      access_(access),
      clock_(clock),
      options_(options) {
  credentials = read_credentials;
}

}  // namespace sboxfs
