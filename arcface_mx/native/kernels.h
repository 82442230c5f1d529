// Small matrix products for blocks that stay in cache, and exp over vectors. Nothing here allocates memory
// or starts threads.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace arcface {

#if defined(__AVX512F__)
constexpr int LANES = 16, TILE_ROWS = 12;  // the 24 accumulators fit in 32 registers
#elif defined(__AVX2__)
constexpr int LANES = 8, TILE_ROWS = 6;  // the 12 accumulators fit in 16 registers
#else
constexpr int LANES = 4, TILE_ROWS = 6;
#endif
constexpr int PANEL = 2 * LANES;  // columns per tile

typedef float Vec __attribute__((vector_size(4 * LANES)));
typedef int32_t IntVec __attribute__((vector_size(4 * LANES)));

inline Vec load(const float* p) {
  Vec v;
  std::memcpy(&v, p, sizeof v);
  return v;
}

inline void store(float* p, Vec v) { std::memcpy(p, &v, sizeof v); }

inline Vec all(float x) { return Vec{} + x; }

inline Vec larger(Vec a, Vec b) { return a > b ? a : b; }

// exp for x <= 0, by Cephes' polynomial, with a relative error of about 1e-7. The result is 0 below -87.
inline Vec exp_negative(Vec x) {
  const Vec in_range = larger(x, all(-87.0f));
  const Vec magic = all(12582912.0f);  // adding and subtracting 1.5 * 2^23 rounds to an integer
  const Vec n = (in_range * 1.44269504f + magic) - magic;
  const Vec r = (in_range - n * 0.693359375f) - n * -2.12194440e-4f;
  Vec p = all(1.9875691500e-4f);
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.0f;
  const IntVec bits = (__builtin_convertvector(n, IntVec) + 127) << 23;
  Vec power;
  std::memcpy(&power, &bits, sizeof power);
  return x > all(-87.0f) ? p * power : Vec{};
}

// C = A B, or C += A B with `add`, for ROWS rows and PANEL columns of C. The element (m, k) of A is
// a[m * row_step + k * k_step]; row k of B starts at b + k * PANEL and is contiguous.
template <int ROWS>
inline void tile(int length, const float* a, size_t row_step, size_t k_step, const float* b, float* c, size_t ldc, bool add) {
  Vec low[ROWS], high[ROWS];
#pragma GCC unroll 12
  for (int m = 0; m < ROWS; ++m) {
    low[m] = add ? load(c + m * ldc) : Vec{};
    high[m] = add ? load(c + m * ldc + LANES) : Vec{};
  }
  for (int k = 0; k < length; ++k) {
    const Vec left = load(b), right = load(b + LANES);
    b += PANEL;
#pragma GCC unroll 12
    for (int m = 0; m < ROWS; ++m) {
      const Vec factor = all(a[m * row_step]);
      low[m] += factor * left;
      high[m] += factor * right;
    }
    a += k_step;
  }
#pragma GCC unroll 12
  for (int m = 0; m < ROWS; ++m) {
    store(c + m * ldc, low[m]);
    store(c + m * ldc + LANES, high[m]);
  }
}

typedef void (*Tile)(int, const float*, size_t, size_t, const float*, float*, size_t, bool);

inline Tile tile_of(int rows) {
  static const Tile tiles[13] = {nullptr, tile<1>, tile<2>, tile<3>, tile<4>, tile<5>, tile<6>,
                                 tile<7>, tile<8>, tile<9>, tile<10>, tile<11>, tile<12>};
  return tiles[rows];
}

// The same product for any number of rows and of whole panels. `panels` holds B as
// [column / PANEL][k][PANEL]; two panels are `panel_step` values apart.
inline void product(int rows, int columns, int length, const float* a, size_t row_step, size_t k_step, const float* panels,
                    size_t panel_step, float* c, size_t ldc, bool add) {
  for (int row = 0; row < rows; row += TILE_ROWS) {
    const int here = rows - row < TILE_ROWS ? rows - row : TILE_ROWS;
    for (int column = 0; column < columns; column += PANEL)
      tile_of(here)(length, a + row * row_step, row_step, k_step, panels + column / PANEL * panel_step, c + row * ldc + column,
                    ldc, add);
  }
}

}  // namespace arcface
