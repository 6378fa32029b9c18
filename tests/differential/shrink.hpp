// Makes a failing sequence short.
#pragma once

#include <string>
#include <vector>

#include "run.hpp"

namespace sboxfs::differential {

struct Shrunk {
  std::vector<Step> steps;
  std::string words;  ///< what still differs; empty: the whole sequence does not fail when it is repeated
};

/// Repeats parts of the sequence in fresh directories for 20 seconds at most.
Shrunk shrink(const Places& places, const std::vector<Step>& steps);

}  // namespace sboxfs::differential
