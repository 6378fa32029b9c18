// Listings. Cookies are stateless, so opendir is answered ENOSYS once and never asked again.
#include <vector>

#include "request.hpp"

namespace sboxfs::fuse {
namespace {

/// A reply buffer that is filled entry by entry; entries of one cookie go in together or not at all.
class Page {
 public:
  Page(fuse_req_t request, std::size_t size) : request_(request), buffer_(size) {}

  bool add(const Listed& item, bool plus) {
    const std::size_t left = buffer_.size() - used_;
    char* at = buffer_.data() + used_;
    std::size_t bytes = 0;
    const auto next = static_cast<off_t>(item.next);
    Context& ctx = context(request_);
    if (plus) {
      fuse_entry_param entry{};
      // An entry without attributes (ino 0) and the two dots are looked up when needed.
      const bool counted = item.attr.mode != 0 && item.name != "." && item.name != "..";
      if (counted) entry = entry_of(ctx.state, {item.ino, item.attr, generation});
      if (!counted) {
        entry.attr.st_ino = item.ino;
        entry.attr.st_mode = static_cast<mode_t>(item.type) << 12;
      }
      bytes = fuse_add_direntry_plus(request_, at, left, item.name.c_str(), &entry, next);
      if (bytes <= left && counted) counted_.push_back(item.ino);
    } else {
      struct stat attr {};
      attr.st_ino = item.ino;
      attr.st_mode = static_cast<mode_t>(item.type) << 12;
      bytes = fuse_add_direntry(request_, at, left, item.name.c_str(), &attr, next);
    }
    if (bytes > left) return false;
    used_ += bytes;
    return true;
  }

  struct Mark {
    std::size_t used;
    std::size_t counted;
  };
  Mark mark() const { return {used_, counted_.size()}; }
  void reset(const Mark& mark) {
    used_ = mark.used;
    counted_.resize(mark.counted);
  }

  void send(Vfs& vfs) {
    for (Ino ino : counted_) vfs.remember(ino);
    if (fuse_reply_buf(request_, buffer_.data(), used_) == -ENOENT)
      for (Ino ino : counted_) vfs.forget(ino, 1);
  }

  std::uint64_t generation = 0;

 private:
  fuse_req_t request_;
  std::vector<char> buffer_;
  std::size_t used_ = 0;
  std::vector<Ino> counted_;
};

void list(fuse_req_t request, fuse_ino_t ino, std::size_t size, off_t offset, bool plus) {
  serve(request, plus ? Kind::readdirplus : Kind::readdir, [&](Vfs& vfs) {
    const std::size_t limit = size / (plus ? 160 : 32) + 8;
    Page page(request, size);
    const State& state = context(request).state;
    page.generation = state.generation;
    const Result<std::vector<Listed>> items = vfs.readdir(ino, static_cast<std::uint64_t>(offset), limit, plus);
    if (!items.ok()) {
      fuse_reply_err(request, items.code());
      return;
    }
    Page::Mark whole = page.mark();
    for (const Listed& item : *items) {
      if (!page.add(item, plus)) {
        page.reset(whole);
        break;
      }
      if (!item.more_of_same) whole = page.mark();
    }
    page.send(vfs);
  });
}

void opendir(fuse_req_t request, fuse_ino_t, fuse_file_info*) { fuse_reply_err(request, ENOSYS); }

void readdir(fuse_req_t request, fuse_ino_t ino, std::size_t size, off_t offset, fuse_file_info*) {
  list(request, ino, size, offset, false);
}

void readdirplus(fuse_req_t request, fuse_ino_t ino, std::size_t size, off_t offset, fuse_file_info*) {
  list(request, ino, size, offset, true);
}

void fsyncdir(fuse_req_t request, fuse_ino_t ino, int, fuse_file_info*) {
  serve(request, Kind::fsyncdir, [&](Vfs& vfs) { reply_status(request, vfs.fsync_dir(ino)); });
}

}  // namespace

void add_directory_operations(fuse_lowlevel_ops& table) {
  table.opendir = opendir;
  table.readdir = readdir;
  table.readdirplus = readdirplus;
  table.fsyncdir = fsyncdir;
}

}  // namespace sboxfs::fuse
