// The margin function: target logit / s as a function of the target cosine, with its slope.
#pragma once

#include <algorithm>
#include <cmath>

namespace arcface {

constexpr float CLIP = 1.1920929e-7f;  // 2^-23, as in symbols/margin.py

enum class Policy { none, linear, easy_margin };

struct Margin {
  double scale, m1, m2, m3;
  Policy policy;
};

// Lines 4 to 6 of Algorithm 1, as in symbols/margin.py.
inline void with_margin(const Margin& margin, double ramp, double cosine, float* value, float* slope) {
  const double m1 = 1.0 + (margin.m1 - 1.0) * ramp, m2 = margin.m2 * ramp, m3 = margin.m3 * ramp;
  const double low = CLIP - 1.0f, high = 1.0f - CLIP;
  const double theta = std::acos(std::min(std::max(cosine, low), high));
  const double angle = m1 * theta + m2;
  const bool inside = cosine >= low && cosine <= high;
  *value = static_cast<float>(std::cos(angle) - m3);
  *slope = inside ? static_cast<float>(m1 * std::sin(angle) / std::sin(theta)) : 0.0f;
  if (margin.policy == Policy::linear && angle > M_PI) {
    const double phi = M_PI - (M_PI - m2) / m1;
    *value = static_cast<float>(cosine - (std::max(phi * std::sin(phi), 1.0 - std::cos(phi)) + m3));
    *slope = 1.0f;
  }
  if (margin.policy == Policy::easy_margin && !(cosine > 0.0)) {
    *value = static_cast<float>(cosine);
    *slope = 1.0f;
  }
}

}  // namespace arcface
