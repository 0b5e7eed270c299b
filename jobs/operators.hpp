#pragma once
// Names and one line of every unlearning operator: what the experiment file may ask for and `guda methods` prints. The
// functions are rows of worker/unlearn's kOperators; a test keeps both lists equal.
#include <array>
#include <span>
#include <string_view>

namespace guda::jobs {

struct OperatorInfo {
  std::string_view name;
  std::string_view summary;
  std::string_view fidelity;
  bool text_to_image = false;  ///< for such models only
};

inline constexpr std::array kOperatorInfos{
    OperatorInfo{"retrack_exact", "redirect to the retain posterior over K neighbours, correct softmax, no clip",
                 "paper formula"},
    OperatorInfo{"retrack_clipped", "the same with each correction's norm clipped at sqrt(2 kl_cap)",
                 "our reconstruction"},
    OperatorInfo{"retrack_minsnr", "retrack_exact with per-sample weight min(SNR, gamma)/SNR", "our reconstruction"},
    OperatorInfo{"retrack_released",
                 "as released: the target underflows to zero, so predicted noise is shrunk on forget images",
                 "released-code parity"},
    OperatorInfo{"finetune_retain", "ordinary training on the retain set only", "control"},
    OperatorInfo{"ifu", "function-space influence: expected gradient of retained training, group-size weighted",
                 "our reconstruction"},
    OperatorInfo{"esd",
                 "guide away from the group: noise target teacher + w (teacher - noise), without a conditional model",
                 "our reconstruction"},
    OperatorInfo{"esd_class",
                 "ESD: guide away from each image's class, e_u + w (e_u - e_c) of a class-conditional model (`guide`); "
                 "text-to-image: from its caption, by the full model",
                 "paper formula"},
    OperatorInfo{"erasediff", "EraseDiff-noise: the forget images' noise target is fresh, independent noise",
                 "released-code parity"},
    OperatorInfo{"siss",
                 "SISS without importance sampling, as intended: ascent on the forget images, its gradient capped",
                 "paper formula"},
    OperatorInfo{"mucs", "MUCS's clamped ascent applied to the group itself, without its stop rule",
                 "our reconstruction"},
    OperatorInfo{"fisher", "one Newton step with the diagonal Fisher matrix of the retained images",
                 "our reconstruction"},
    OperatorInfo{"guda_c",
                 "GUDA-C: the full model's prediction under another style's caption, for text-to-image models",
                 "paper formula", /*text_to_image=*/true},
};

/// What GUARD's weights are measured with: evenly spread timesteps, and at most so many retained images.
inline constexpr unsigned kGuardTimesteps = 10, kGuardRetainSample = 1024;

[[nodiscard]] constexpr std::span<const OperatorInfo> operators() { return kOperatorInfos; }

}  // namespace guda::jobs
