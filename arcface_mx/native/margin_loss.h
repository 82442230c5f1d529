// Computation of the operator arcface_margin_loss, which margin_loss.cc describes and registers.
//
// A graph of MXNet's operators spends time on three matrix products and on passes over arrays of
// N x n and n x d values: W normalised, one-hot labels, softmax, and their backward passes. This
// operator processes the classes in blocks that stay in cache, which saves those passes. Between the
// forward and the backward pass it keeps one N x n array, the cosines.
// With x^ = x/|x|, w^ = w/|w| and g = dloss/dcosine, the gradients are
//   dw = (sum_i g_i x^_i - (sum_i g_i cos_i) w^) / |w|        dx^ = sum_c g_c w^_c
#pragma once

#include <mxnet/lib_api.h>
#include <omp.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "kernels.h"
#include "margin.h"

namespace arcface {

using mxnet::ext::MXReturnValue;
using mxnet::ext::MXTensor;

constexpr int BLOCK = 20 * TILE_ROWS;  // classes per block
constexpr float EPS = 1e-10f;          // as in L2Normalization

inline size_t padded(size_t count) { return (count + PANEL - 1) / PANEL * PANEL; }

typedef std::vector<float> Floats;

// For each sample: running maximum and sum of the exponentials, and the largest cosine.
struct Sums {
  Floats maximum, sum, largest;
  explicit Sums(size_t width) : maximum(width, -1e30f), sum(width, 0.0f), largest(width, -2.0f) {}
};

class MarginLoss : public mxnet::ext::CustomStatefulOp {
 public:
  explicit MarginLoss(const Margin& margin) : margin_(margin) {}

  MXReturnValue Forward(std::vector<MXTensor>* in, std::vector<MXTensor>* out, const mxnet::ext::OpResource&) override {
    bind(*in);
    const float* label = in->at(1).data<float>();
    if (!sort_labels(label)) return mxnet::ext::MX_FAIL;
    embedding_ = in->at(0).data<float>();
    pack(embedding_);
    const float* weight = in->at(2).data<float>();
    const float* ramp = in->size() > 3 ? in->at(3).data<float>() : nullptr;

    std::vector<Sums> sums(omp_get_max_threads(), Sums(width_));
#pragma omp parallel for schedule(static)
    for (int block = 0; block < blocks_; ++block) forward_block(block, weight, ramp, &sums[omp_get_thread_num()]);
    for (size_t thread = 1; thread < sums.size(); ++thread) merge(&sums[0], sums[thread]);

    for (size_t i = 0; i < samples_; ++i) {
      maximum_[i] = sums[0].maximum[i], sum_[i] = sums[0].sum[i];
      out->at(0).data<float>()[i] = std::log(sum_[i]) + (maximum_[i] - scale() * target_[i]);
      out->at(1).data<float>()[i] = cosine_[i];
      out->at(2).data<float>()[i] = own_[i] >= sums[0].largest[i];
    }
    return mxnet::ext::MX_SUCCESS;
  }

  // `in` holds the gradients of the outputs, the inputs and the outputs; `out` the gradients of the inputs.
  MXReturnValue Backward(std::vector<MXTensor>* in, std::vector<MXTensor>* out, const mxnet::ext::OpResource&) override {
    const float* head = in->at(0).data<float>();
    const float* weight = in->at(5).data<float>();
    for (size_t i = 0; i < samples_; ++i) {
      head_[i] = head[i] * scale();
      head_over_sum_[i] = head_[i] / sum_[i];
    }

    std::vector<Floats> partial(omp_get_max_threads());
#pragma omp parallel for schedule(static)
    for (int block = 0; block < blocks_; ++block) {
      Floats& own = partial[omp_get_thread_num()];
      if (own.empty()) own.assign(samples_ * depth_, 0.0f);
      backward_block(block, weight, out->at(2).data<float>(), own.data());
    }
    embedding_gradient(partial, out->at(0).data<float>());
    std::fill_n(out->at(1).data<float>(), samples_, 0.0f);
    if (out->size() > 3) std::fill_n(out->at(3).data<float>(), samples_, 0.0f);
    return mxnet::ext::MX_SUCCESS;
  }

 private:
  float scale() const { return static_cast<float>(margin_.scale); }
  int first_of(int block) const { return block * BLOCK; }
  int classes_in(int block) const { return std::min<int>(BLOCK, classes_ - first_of(block)); }
  float* cosines_of(int block) { return cosines_.get() + static_cast<size_t>(first_of(block)) * width_; }

  void bind(const std::vector<MXTensor>& in) {
    const size_t samples = in[0].shape[0], size = in[0].shape[1], classes = in[2].shape[0];
    if (samples == samples_ && size == size_ && classes == classes_) return;
    samples_ = samples, size_ = size, classes_ = classes;
    width_ = padded(samples), depth_ = padded(size), blocks_ = static_cast<int>((classes + BLOCK - 1) / BLOCK);
    cosines_.reset(new float[classes_ * width_]);
    by_sample_.assign(width_ * size_, 0.0f);
    by_feature_.assign(samples_ * depth_, 0.0f);
    unit_.assign(samples_ * depth_, 0.0f);
    for (Floats* row : {&maximum_, &sum_, &head_, &head_over_sum_, &cosine_, &own_, &target_, &slope_}) row->assign(width_, 0.0f);
    inverse_.assign(samples_, 0.0f);
    centre_inverse_.assign(classes_, 0.0f);
  }

  // Assigns each sample to the block that contains the class of its label.
  bool sort_labels(const float* label) {
    targets_.assign(blocks_, {});
    for (size_t i = 0; i < samples_; ++i) {
      if (!(label[i] >= 0 && label[i] < classes_)) {
        MX_ERROR_MSG << "label " << label[i] << " of sample " << i << " lies outside 0 to " << classes_ - 1;
        return false;
      }
      const int own = static_cast<int>(label[i]);
      targets_[own / BLOCK].push_back({static_cast<int>(i), own % BLOCK});
    }
    return true;
  }

  // Normalises the embeddings and stores them in panels of samples, for the forward product, and in
  // panels of features, for the backward product.
  void pack(const float* x) {
    for (size_t i = 0; i < samples_; ++i, x += size_) {
      double squares = EPS;
      for (size_t k = 0; k < size_; ++k) squares += static_cast<double>(x[k]) * x[k];
      inverse_[i] = static_cast<float>(1.0 / std::sqrt(squares));
      for (size_t k = 0; k < size_; ++k) {
        const float unit = x[k] * inverse_[i];
        unit_[i * depth_ + k] = unit;
        by_sample_[(i / PANEL * size_ + k) * PANEL + i % PANEL] = unit;
        by_feature_[(k / PANEL * samples_ + i) * PANEL + k % PANEL] = unit;
      }
    }
  }

  void forward_block(int block, const float* weight, const float* ramp, Sums* sums) {
    const int first = first_of(block), count = classes_in(block);
    const float* centres = weight + static_cast<size_t>(first) * size_;
    float* cosines = cosines_of(block);
    product(count, width_, size_, centres, size_, 1, by_sample_.data(), size_ * PANEL, cosines, width_, false);
    for (int c = 0; c < count; ++c) {
      centre_inverse_[first + c] = 1.0f / std::sqrt(squares(centres + static_cast<size_t>(c) * size_) + EPS);
      for (size_t i = 0; i < width_; i += LANES)
        store(cosines + c * width_ + i, load(cosines + c * width_ + i) * centre_inverse_[first + c]);
    }
    for (size_t i = 0; i < width_; i += LANES) {
      Vec largest = load(&sums->largest[i]);
      for (int c = 0; c < count; ++c) largest = larger(largest, load(cosines + c * width_ + i));
      store(&sums->largest[i], largest);
    }
    for (const Target& target : targets_[block]) {
      const int i = target.sample;
      // Near 0 and pi the margin changes steeply with the cosine, so the target cosine is computed in double.
      const double cosine = target_cosine(i, centres + target.row * size_);
      with_margin(margin_, ramp ? ramp[i] : 1.0, cosine, &target_[i], &slope_[i]);
      cosine_[i] = static_cast<float>(cosine);
      own_[i] = cosines[target.row * width_ + i];
      cosines[target.row * width_ + i] = target_[i];
    }
    add_exponentials(count, cosines, sums);
  }

  double target_cosine(int sample, const float* centre) const {
    const float* x = embedding_ + sample * size_;
    double product = 0.0, x_squares = EPS, centre_squares = EPS;
    for (size_t k = 0; k < size_; ++k) {
      product += static_cast<double>(x[k]) * centre[k];
      x_squares += static_cast<double>(x[k]) * x[k];
      centre_squares += static_cast<double>(centre[k]) * centre[k];
    }
    return product / std::sqrt(x_squares * centre_squares);
  }

  float squares(const float* row) const {
    Vec sum[4] = {};
    size_t k = 0;
    for (; k + 4 * LANES <= size_; k += 4 * LANES)
      for (int part = 0; part < 4; ++part) sum[part] += load(row + k + part * LANES) * load(row + k + part * LANES);
    const Vec total = (sum[0] + sum[1]) + (sum[2] + sum[3]);
    float result = 0.0f;
    for (int lane = 0; lane < LANES; ++lane) result += total[lane];
    for (; k < size_; ++k) result += row[k] * row[k];
    return result;
  }

  void add_exponentials(int count, const float* cosines, Sums* sums) const {
    for (size_t i = 0; i < width_; i += LANES) {
      Vec maximum = all(-1e30f), sum{};
      for (int c = 0; c < count; ++c) maximum = larger(maximum, load(cosines + c * width_ + i));
      maximum *= scale();
      for (int c = 0; c < count; ++c) sum += exp_negative(load(cosines + c * width_ + i) * scale() - maximum);
      add(sums, i, maximum, sum);
    }
  }

  static void add(Sums* sums, size_t i, Vec maximum, Vec sum) {
    const Vec before = load(&sums->maximum[i]), now = larger(before, maximum);
    store(&sums->sum[i], load(&sums->sum[i]) * exp_negative(before - now) + sum * exp_negative(maximum - now));
    store(&sums->maximum[i], now);
  }

  void merge(Sums* sums, const Sums& other) const {
    for (size_t i = 0; i < width_; i += LANES) {
      add(sums, i, load(&other.maximum[i]), load(&other.sum[i]));
      store(&sums->largest[i], larger(load(&sums->largest[i]), load(&other.largest[i])));
    }
  }

  void backward_block(int block, const float* weight, float* weight_gradient, float* unit_gradient) {
    const int first = first_of(block), count = classes_in(block);
    const float* centres = weight + static_cast<size_t>(first) * size_;
    static thread_local Floats slopes, panel, result, along;
    slopes.resize(BLOCK * width_), panel.resize(BLOCK * PANEL), result.resize(TILE_ROWS * PANEL), along.resize(BLOCK);
    cosine_gradients(block, slopes.data(), along.data());

    // dW, tile by tile. The component along the centre is subtracted when a tile is stored.
    for (int row = 0; row < count; row += TILE_ROWS) {
      const int rows = std::min(TILE_ROWS, count - row);
      for (size_t column = 0; column < size_; column += PANEL) {
        tile_of(rows)(samples_, &slopes[row * width_], width_, 1, &by_feature_[column * samples_], result.data(), PANEL, false);
        const size_t columns = std::min<size_t>(PANEL, size_ - column);
        for (int m = 0; m < rows; ++m)
          project(columns, &result[m * PANEL], centres + (row + m) * size_ + column, centre_inverse_[first + row + m],
                  along[row + m], weight_gradient + (first + row + m) * size_ + column);
      }
    }
    // dx^ uses the same slopes, divided by |w|.
    for (int c = 0; c < count; ++c)
      for (size_t i = 0; i < width_; i += LANES)
        store(&slopes[c * width_ + i], load(&slopes[c * width_ + i]) * centre_inverse_[first + c]);
    for (size_t column = 0; column < size_; column += PANEL) {
      const size_t columns = std::min<size_t>(PANEL, size_ - column);
      for (int c = 0; c < count; ++c) {
        std::memcpy(&panel[c * PANEL], centres + c * size_ + column, columns * sizeof(float));
        std::fill_n(&panel[c * PANEL + columns], PANEL - columns, 0.0f);
      }
      product(samples_, PANEL, count, slopes.data(), 1, width_, panel.data(), 0, unit_gradient + column, depth_, true);
    }
  }

  // `slopes`: dloss/dcosine, of shape (classes of the block, samples). `along`: for each class, the sum of
  // slope * cosine over the samples.
  void cosine_gradients(int block, float* slopes, float* along) {
    const int count = classes_in(block);
    const float* cosines = cosines_of(block);
    for (int c = 0; c < count; ++c)
      for (size_t i = 0; i < width_; i += LANES) {
        const Vec exponential = exp_negative(load(cosines + c * width_ + i) * scale() - load(&maximum_[i]));
        store(slopes + c * width_ + i, exponential * load(&head_over_sum_[i]));
      }
    for (const Target& target : targets_[block]) {
      const int i = target.sample;
      float* slope = slopes + target.row * width_ + i;
      *slope = (*slope - head_[i]) * slope_[i];
    }
    for (int c = 0; c < count; ++c) {
      Vec sum{};
      for (size_t i = 0; i < width_; i += LANES) sum += load(slopes + c * width_ + i) * load(cosines + c * width_ + i);
      along[c] = 0.0f;
      for (int lane = 0; lane < LANES; ++lane) along[c] += sum[lane];
    }
    // At the target's position, the array of cosines holds the margin's value instead of the cosine.
    for (const Target& target : targets_[block]) {
      const int i = target.sample;
      along[target.row] += slopes[target.row * width_ + i] * (cosine_[i] - target_[i]);
    }
  }

  static void project(size_t count, const float* product, const float* centre, float inverse, float along, float* gradient) {
    const float back = along * inverse * inverse;
    for (size_t k = 0; k < count; ++k) gradient[k] = product[k] * inverse - back * centre[k];
  }

  void embedding_gradient(const std::vector<Floats>& partial, float* gradient) const {
    for (size_t i = 0; i < samples_; ++i, gradient += size_) {
      std::fill_n(gradient, size_, 0.0f);
      for (const Floats& part : partial)
        for (size_t k = 0; k < size_ && !part.empty(); ++k) gradient[k] += part[i * depth_ + k];
      double along = 0.0;
      for (size_t k = 0; k < size_; ++k) along += static_cast<double>(gradient[k]) * unit_[i * depth_ + k];
      for (size_t k = 0; k < size_; ++k)
        gradient[k] = inverse_[i] * (gradient[k] - static_cast<float>(along) * unit_[i * depth_ + k]);
    }
  }

  struct Target {
    int sample, row;  // row: the class's number within its block
  };

  Margin margin_;
  size_t samples_ = 0, size_ = 0, classes_ = 0, width_ = 0, depth_ = 0;  // N, d, n, and padded N, padded d
  int blocks_ = 0;
  const float* embedding_ = nullptr;  // input of the forward pass that is running
  std::unique_ptr<float[]> cosines_;  // (n, width); at a target's position, the margin's value
  Floats by_sample_, by_feature_, unit_, inverse_, centre_inverse_;
  Floats maximum_, sum_, head_, head_over_sum_, cosine_, own_, target_, slope_;  // one value per sample
  std::vector<std::vector<Target>> targets_;
};

}  // namespace arcface
