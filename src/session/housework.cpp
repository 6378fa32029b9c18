#include "housework.hpp"

#include "sboxfs/redis/news.hpp"

namespace sboxfs {

Result<std::vector<OutboxItem>> TenantHousework::outbox() { return sboxfs::outbox(pool_, tenant_); }

Result<Version> TenantHousework::publish(const OutboxItem& item) {
  News news;
  news.stamp = item.stamp;
  news.previous = item.published_version;
  news.epoch = item.epoch;
  return keys_.publish(item.id, item.stamp.version, encode_news(news));
}

Status TenantHousework::mark_published(const OutboxItem& item) {
  return sboxfs::mark_published(pool_, tenant_, item.id, item.stamp.version);
}

Status TenantHousework::erase_key(const SandboxId& id) { return keys_.erase(id); }
Status TenantHousework::mark_erased(const SandboxId& id) { return sboxfs::mark_erased(pool_, tenant_, id); }

Result<std::vector<DestroyedSandbox>> TenantHousework::destroyed(unsigned limit) {
  return destroyed_sandboxes(pool_, tenant_, limit);
}
Result<std::uint64_t> TenantHousework::purge(const SandboxId& id, unsigned limit) {
  return purge_step(pool_, tenant_, id, limit);
}
Result<bool> TenantHousework::forget(const SandboxId& id, std::int64_t age_ns) {
  return forget_sandbox(pool_, tenant_, id, age_ns);
}

Result<std::uint64_t> TenantHousework::delete_dead_sessions(unsigned limit) {
  return sboxfs::delete_dead_sessions(pool_, tenant_, limit);
}
Result<std::uint64_t> TenantHousework::delete_orphans(unsigned limit) {
  return sboxfs::delete_orphans(pool_, tenant_, limit);
}
Result<std::uint64_t> TenantHousework::delete_old_changes(unsigned limit) {
  return sboxfs::delete_old_changes(pool_, tenant_, limit);
}
Result<std::uint64_t> TenantHousework::delete_dead_blobs(unsigned limit) {
  return sboxfs::delete_dead_blobs(pool_, tenant_, limit);
}
Result<MarkedBlobs> TenantHousework::mark_dead_blobs(const Hash& from, unsigned limit) {
  return sboxfs::mark_dead_blobs(pool_, tenant_, from, limit);
}

}  // namespace sboxfs
