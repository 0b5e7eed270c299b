#include "worker/eval_model.hpp"

#include <ATen/ATen.h>

#include "common/error.hpp"
#include "common/safetensors.hpp"
#include "worker/models/tensor_bytes.hpp"
#include "worker/models/unet2d.hpp"

namespace guda::worker {

int eval_model(const std::filesystem::path& folder, const std::filesystem::path& input,
               const std::filesystem::path& output, const std::filesystem::path& save) {
  const SafetensorsFile in(input);
  for (const auto& [name, entry] : in.tensors()) {
    if (name != "sample" && name != "timestep" && name != "class_labels") {
      throw Error(input.string() + ": tensor '" + name + "' is not one of sample, timestep, class_labels");
    }
  }
  UNet2D model = load_unet2d(folder);
  const at::NoGradGuard no_grad;
  const at::Tensor sample = tensor_from(in, "sample").to(at::kFloat);
  at::Tensor timestep = tensor_from(in, "timestep");
  if (timestep.dim() > 1 || (timestep.dim() == 1 && timestep.size(0) != 1 && timestep.size(0) != sample.size(0))) {
    throw Error(input.string() + ": timestep is neither a scalar nor one number per sample");
  }
  at::Tensor labels;
  if (in.tensors().contains("class_labels")) labels = tensor_from(in, "class_labels");
  const at::Tensor out = model(sample, timestep, labels).contiguous();
  write_safetensors(output, {to_write("out", out)});
  if (!save.empty()) save_unet2d(model, model->config().to_json(), save);
  return 0;
}

}  // namespace guda::worker
