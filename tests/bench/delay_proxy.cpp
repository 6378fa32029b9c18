// delay_proxy LISTEN CONNECT MS: accepts on the unix socket LISTEN, connects to CONNECT, and delays what passes by MS
// milliseconds each way; bandwidth is not limited. It ends when its standard input closes.
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

namespace {

using Clock = std::chrono::steady_clock;

struct Piece {
  Clock::time_point due;
  std::string bytes;  // empty: the end
};

/// One direction of one connection.
class Pipe {
 public:
  Pipe(int from, int to, std::chrono::microseconds delay) : from_(from), to_(to), delay_(delay) {}

  void read_all() {
    std::string buffer(1 << 20, 0);
    for (;;) {
      const ssize_t got = ::read(from_, buffer.data(), buffer.size());
      put({Clock::now() + delay_, got > 0 ? buffer.substr(0, static_cast<std::size_t>(got)) : std::string()});
      if (got <= 0) return;
    }
  }

  void write_all() {
    for (;;) {
      const Piece piece = take();
      std::this_thread::sleep_until(piece.due);
      if (piece.bytes.empty()) break;
      std::size_t sent = 0;
      while (sent < piece.bytes.size()) {
        const ssize_t put = ::send(to_, piece.bytes.data() + sent, piece.bytes.size() - sent, MSG_NOSIGNAL);
        if (put <= 0) return;
        sent += static_cast<std::size_t>(put);
      }
    }
    ::shutdown(to_, SHUT_WR);
  }

 private:
  void put(Piece piece) {
    const std::lock_guard lock(mutex_);
    pieces_.push_back(std::move(piece));
    filled_.notify_one();
  }
  Piece take() {
    std::unique_lock lock(mutex_);
    filled_.wait(lock, [this] { return !pieces_.empty(); });
    Piece piece = std::move(pieces_.front());
    pieces_.pop_front();
    return piece;
  }

  const int from_, to_;
  const std::chrono::microseconds delay_;
  std::mutex mutex_;
  std::condition_variable filled_;
  std::deque<Piece> pieces_;
};

int unix_socket(const char* path, sockaddr_un& address) {
  address.sun_family = AF_UNIX;
  if (std::strlen(path) >= sizeof address.sun_path) {
    std::fprintf(stderr, "delay_proxy: the path is too long: %s\n", path);
    std::exit(2);
  }
  std::strcpy(address.sun_path, path);
  return ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

void serve(int client, const char* server, std::chrono::microseconds delay) {
  sockaddr_un address{};
  const int upstream = unix_socket(server, address);
  if (::connect(upstream, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0) {
    Pipe there(client, upstream, delay);
    Pipe back(upstream, client, delay);
    std::thread threads[] = {std::thread([&] { there.read_all(); }), std::thread([&] { there.write_all(); }),
                             std::thread([&] { back.read_all(); }), std::thread([&] { back.write_all(); })};
    for (std::thread& thread : threads) thread.join();
  }
  ::close(upstream);
  ::close(client);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) {
    std::fprintf(stderr, "usage: delay_proxy LISTEN CONNECT MS\n");
    return 2;
  }
  const std::chrono::microseconds delay(static_cast<long>(std::atof(argv[3]) * 1000));
  sockaddr_un address{};
  const int listener = unix_socket(argv[1], address);
  if (::bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 || ::listen(listener, 64) != 0) {
    std::perror("delay_proxy");
    return 1;
  }
  std::thread([&] {
    char byte = 0;
    while (::read(0, &byte, 1) > 0) {
    }
    std::_Exit(0);
  }).detach();
  for (;;) {
    const int client = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
    if (client < 0) return 1;
    std::thread(serve, client, argv[2], delay).detach();
  }
}
