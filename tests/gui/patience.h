#pragma once
// Limits of time that a test can keep on any machine, under load and under sanitizers.

namespace kvsieve::gui::tests {

/// Benchmarks measure; a test notices only what takes longer by an order of magnitude, such as a
/// frame that looks at every event. @param wanted_ms what users should see, milliseconds
[[nodiscard]] constexpr double patient_ms(double wanted_ms) {
  return 40.0 * wanted_ms;
}

}  // namespace kvsieve::gui::tests
