// Operator arcface_margin_loss: combined margin, softmax and cross entropy over class centres W (n, d).
//
// Inputs: embedding (N, d), label (N,), weight (n, d), and, with ramp=1, ramp (N,). All are float32.
// Outputs, each of shape (N,):
//   loss           -log softmax(s * margin(cosines))[label]
//   target_cosine  cosine of the angle between the embedding and the centre of its class
//   correct        1 where no other cosine is larger than the target's
// Only the loss has gradients.
#include "margin_loss.h"

#include <string>
#include <unordered_map>

namespace arcface {

typedef std::unordered_map<std::string, std::string> Attributes;

double number(const Attributes& attributes, const char* name) { return std::stod(attributes.at(name)); }

bool ramped(const Attributes& attributes) { return attributes.count("ramp") && attributes.at("ramp") == "1"; }

MXReturnValue parse(const Attributes& attributes, int* inputs, int* outputs) {
  for (const char* name : {"num_classes", "scale", "m1", "m2", "m3", "policy"})
    if (!attributes.count(name)) {
      MX_ERROR_MSG << "arcface_margin_loss needs the attribute " << name;
      return mxnet::ext::MX_FAIL;
    }
  *inputs = ramped(attributes) ? 4 : 3;
  *outputs = 3;
  return mxnet::ext::MX_SUCCESS;
}

MXReturnValue types(const Attributes&, std::vector<int>* in, std::vector<int>* out) {
  std::fill(in->begin(), in->end(), mxnet::ext::kFloat32);
  std::fill(out->begin(), out->end(), mxnet::ext::kFloat32);
  return mxnet::ext::MX_SUCCESS;
}

MXReturnValue shapes(const Attributes& attributes, std::vector<std::vector<unsigned int>>* in,
                     std::vector<std::vector<unsigned int>>* out) {
  const std::vector<unsigned int>& embedding = in->at(0);
  if (embedding.size() != 2) {
    MX_ERROR_MSG << "arcface_margin_loss needs an embedding (N, d)";
    return mxnet::ext::MX_FAIL;
  }
  const unsigned int classes = static_cast<unsigned int>(number(attributes, "num_classes"));
  in->at(2) = {classes, embedding[1]};
  for (size_t i = 0; i < in->size(); ++i)
    if (i == 1 || i == 3) in->at(i) = {embedding[0]};
  for (auto& shape : *out) shape = {embedding[0]};
  return mxnet::ext::MX_SUCCESS;
}

MXReturnValue create(const Attributes& attributes, const mxnet::ext::MXContext&, const std::vector<std::vector<unsigned int>>&,
                     const std::vector<int>, mxnet::ext::CustomStatefulOp** op) {
  const std::string& policy = attributes.at("policy");
  const Margin margin{number(attributes, "scale"), number(attributes, "m1"), number(attributes, "m2"), number(attributes, "m3"),
                      policy == "linear" ? Policy::linear : policy == "easy_margin" ? Policy::easy_margin : Policy::none};
  *op = mxnet::ext::CustomStatefulOp::create<MarginLoss>(margin);
  return mxnet::ext::MX_SUCCESS;
}

REGISTER_OP(arcface_margin_loss)
    .setParseAttrs(parse)
    .setInferType(types)
    .setInferShape(shapes)
    .setCreateOpState(create, "cpu");

}  // namespace arcface

mxnet::ext::MXReturnValue initialize(int version) {
  if (version >= 10700) return mxnet::ext::MX_SUCCESS;
  MX_ERROR_MSG << "arcface_mx needs MXNet 1.7 or newer";
  return mxnet::ext::MX_FAIL;
}
