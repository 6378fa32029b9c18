// The same random sequence of system calls on a mount and on a local directory; every result must be the same.
//   differential --local DIR --mounted DIR --seed N --steps N [--remount-every N] [--switch-at N] [--shrink 0]
// Standard output is for whoever started it: "remount" and "switch" ask for the mount to be made anew, or for another
// mount of the same sandbox; the answer, a line on standard input, is where it is now. Everything else is for people.
#include <sys/resource.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <map>
#include <string>
#include <vector>

#include "sboxfs/base/text.hpp"
#include "shrink.hpp"

namespace {

using namespace sboxfs::differential;
using sboxfs::cat;

constexpr long kTreeEvery = 500;    // steps between comparisons of the whole trees
constexpr long kKnownEvery = 20;    // steps between looks at what there is
constexpr std::size_t kShown = 20;  // last steps that are printed

struct Options {
  Places places;
  std::uint64_t seed = 1;
  long steps = 1000, remount_every = 0, switch_at = 0;
  bool shrinks = true;
};

Options parse(int argc, char** argv) {
  Options options;
  std::map<std::string, std::string> given;
  for (int i = 1; i + 1 < argc; i += 2) given[argv[i]] = argv[i + 1];
  const auto number = [&](const char* name, long otherwise) {
    return given.count(name) == 0 ? otherwise : std::atol(given[name].c_str());
  };
  options.places = {given["--local"], given["--mounted"]};
  options.seed = static_cast<std::uint64_t>(number("--seed", 1));
  options.steps = number("--steps", 1000);
  options.remount_every = number("--remount-every", 0);
  options.switch_at = number("--switch-at", 0);
  options.shrinks = number("--shrink", 1) != 0;
  return options;
}

std::string ask(const char* what) {
  std::cout << what << std::endl;
  std::string answer;
  if (!std::getline(std::cin, answer)) throw std::runtime_error("nobody answers");
  return answer;
}

/// Runs the sequence; what differs, or nothing. `steps` gets what was done.
std::string run_all(const Options& options, Places& places, std::vector<Step>& steps) {
  Run run(places, "run");
  if (!run.fine_clock()) std::cout << "note: a coarse local clock: which times move is not compared" << std::endl;
  Generator generator(options.seed);
  Known known;
  for (long number = 0; number < options.steps; ++number) {
    if (number % kKnownEvery == 0) known = run.known();
    steps.push_back(generator.next(known));
    if (const std::string words = run.step(steps.back()); !words.empty()) return words;
    if ((number + 1) % kTreeEvery == 0)
      if (const std::string words = run.compare_trees(); !words.empty()) return "the trees differ:\n" + words;
    const bool remount = options.remount_every > 0 && (number + 1) % options.remount_every == 0;
    if (!remount && number + 1 != options.switch_at) continue;
    const std::string words = run.move([&] { return places.mounted = ask(remount ? "remount" : "switch"); });
    if (!words.empty()) return cat(remount ? "after a re-mount:\n" : "seen through another mount:\n", words);
  }
  const std::string words = run.compare_trees();
  return words.empty() ? words : "at the end the trees differ:\n" + words;
}

void report(const Options& options, const std::vector<Step>& steps, const std::string& words) {
  std::cout << "DIFFERENCE: seed " << options.seed << ", step " << steps.size() << " of " << options.steps << "\n";
  for (std::size_t i = steps.size() < kShown ? 0 : steps.size() - kShown; i < steps.size(); ++i)
    std::cout << "  " << i + 1 << " " << describe(steps[i]) << "\n";
  std::cout << words << std::endl;
}

int work(const Options& options) {
  const auto start = std::chrono::steady_clock::now();
  Places places = options.places;
  std::vector<Step> steps;
  const std::string words = run_all(options, places, steps);
  if (words.empty()) {
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    std::cout << "ok: seed " << options.seed << ", " << options.steps << " steps, " << seconds.count() << " s"
              << std::endl;
    return 0;
  }
  report(options, steps, words);
  if (!options.shrinks) return 1;
  const Shrunk shrunk = shrink(places, steps);
  if (shrunk.words.empty()) {
    std::cout << "does not happen again without the mounts in between, or not in a fresh directory" << std::endl;
    return 1;
  }
  std::cout << "shortened to " << shrunk.steps.size() << " steps:\n";
  for (const Step& step : shrunk.steps) std::cout << "  " << describe(step) << "\n";
  std::cout << shrunk.words << std::endl;
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return work(parse(argc, argv));
  } catch (const std::exception& error) {
    std::cout << "error: " << error.what() << std::endl;
    return 2;
  }
}
