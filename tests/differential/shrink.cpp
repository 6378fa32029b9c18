#include "shrink.hpp"

#include <cctype>
#include <chrono>

#include "sboxfs/base/text.hpp"

namespace sboxfs::differential {
namespace {

constexpr auto kTime = std::chrono::seconds(20);

/// What a difference is about: its words without paths and numbers.
std::string kind_of(const std::string& words) {
  std::string kind;
  for (const char c : words.substr(std::min(words.find(": "), words.size())))
    if (std::isalpha(static_cast<unsigned char>(c)) != 0) kind += c;
  return kind;
}

/// What differs first, with how many steps that took.
std::string repeat(const Places& places, std::vector<Step>& steps) {
  static int number = 0;
  Run run(places, cat("shrink", ++number));
  for (std::size_t i = 0; i < steps.size(); ++i)
    if (const std::string words = run.step(steps[i]); !words.empty()) {
      steps.resize(i + 1);
      return words;
    }
  return run.compare_trees();
}

}  // namespace

Shrunk shrink(const Places& places, const std::vector<Step>& steps) {
  const auto end = std::chrono::steady_clock::now() + kTime;
  Shrunk best{steps, {}};
  best.words = repeat(places, best.steps);
  if (best.words.empty()) return best;
  const std::string kind = kind_of(best.words);
  for (std::size_t part = best.steps.size() / 2; part > 0; part /= 2)
    for (std::size_t at = 0; at < best.steps.size() && std::chrono::steady_clock::now() < end;) {
      Shrunk shorter{best.steps, {}};
      const auto from = shorter.steps.begin() + static_cast<std::ptrdiff_t>(at);
      shorter.steps.erase(from, from + static_cast<std::ptrdiff_t>(std::min(part, best.steps.size() - at)));
      shorter.words = repeat(places, shorter.steps);
      if (kind_of(shorter.words) != kind) {
        at += part;
      } else {
        best = shorter;
      }
    }
  return best;
}

}  // namespace sboxfs::differential
