#include <nlohmann/json.hpp>

#include "line_socket.hpp"
#include "sboxfs/exec/control.hpp"

namespace sboxfs {
namespace {

using Json = nlohmann::json;

/// The answer as an object when it says ok, else the error it holds.
Result<Json> checked(const std::string& line) {
  const Json answer = Json::parse(line, nullptr, false);
  if (!answer.is_object() || !answer.contains("ok")) return fail(EPROTO, "the mount answered something unexpected");
  if (answer.value("ok", false)) return answer;
  return fail(answer.value("errno", EIO), answer.value("message", std::string("the mount reports an error")));
}

}  // namespace

Result<ControlClient> ControlClient::connect(const std::string& path) {
  SBOXFS_ASSIGN(UniqueFd fd, connect_to(path));
  return ControlClient(std::move(fd));
}

Result<std::string> ControlClient::exchange(const std::string& line) {
  SBOXFS_TRY(send_line(fd_.get(), line));
  return receive_line(fd_.get(), buffer_);
}

Status ControlClient::request(const std::string& word, std::string* warning) {
  SBOXFS_ASSIGN(const std::string line, exchange(Json{{"do", word}}.dump()));
  SBOXFS_ASSIGN(const Json answer, checked(line));
  if (warning != nullptr) *warning = answer.value("warning", std::string());
  return {};
}

Status ControlClient::lock(bool exclusive, double timeout_seconds) {
  const Json request{{"do", "lock"}, {"exclusive", exclusive}, {"timeout_seconds", timeout_seconds}};
  SBOXFS_ASSIGN(const std::string line, exchange(request.dump()));
  const Result<Json> answer = checked(line);
  return answer.ok() ? Status() : Status(answer.error());
}

Status ControlClient::ask_for_end() { return send_line(fd_.get(), Json{{"do", "wait"}}.dump()); }

Status ControlClient::wait_for_end() {
  SBOXFS_ASSIGN(const std::string line, receive_line(fd_.get(), buffer_));
  const Result<Json> answer = checked(line);
  return answer.ok() ? Status() : Status(answer.error());
}

Result<bool> ControlClient::release(double keep_seconds) {
  SBOXFS_ASSIGN(const std::string line, exchange(Json{{"do", "release"}, {"keep_seconds", keep_seconds}}.dump()));
  SBOXFS_ASSIGN(const Json answer, checked(line));
  return answer.value("going", false);
}

Result<std::string> ControlClient::status() {
  SBOXFS_ASSIGN(const std::string line, exchange(Json{{"do", "status"}}.dump()));
  SBOXFS_ASSIGN(const Json answer, checked(line));
  return answer.value("status", Json::object()).dump();
}

}  // namespace sboxfs
