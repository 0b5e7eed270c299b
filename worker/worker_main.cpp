// guda-worker: the only program with LibTorch.
//   serve       one job at a time over a socketpair, started by guda-agent
//   eval-model  one forward of a diffusers folder, for anybody who wants to check our models against diffusers
//   eval-tokenizer  token ids of given texts, for the same
//   eval-sampler  the steps of a sampler on given model outputs, for the same
//   --profile   where the time of the steps of an experiment goes
//   bench-device  what the device gives, for guda bench-device
//   time-checkpoint  what saving the state of a training loop costs on a file system
#include <torch/torch.h>

#include <cstdio>
#include <cstring>
#include <exception>
#include <map>
#include <string>

#include "common/error.hpp"
#include "common/files.hpp"
#include "guda_build.hpp"
#include "worker/bench/bench_device.hpp"
#include "worker/device/device.hpp"
#include "worker/eval_model.hpp"
#include "worker/eval_sampler.hpp"
#include "worker/keep_memory.hpp"
#include "worker/profile/profile.hpp"
#include "worker/serve_jobs.hpp"
#include "worker/time_checkpoint.hpp"

namespace {

constexpr const char* kUsage =
    "usage: guda-worker eval-model FOLDER --input IN.safetensors --output OUT.safetensors [--save FOLDER]\n"
    "         [--lora FILE]\n"
    "         of a UNet IN holds tensors 'sample' [N,C,H,W] and 'timestep' [N], if it is conditioned\n"
    "         'encoder_hidden_states' [N,L,width], 'class_labels'; OUT gets 'out'. --save writes the model back,\n"
    "         --lora merges a pytorch_lora_weights.safetensors into it first.\n"
    "         of an AutoencoderKL IN holds 'sample', 'latents' or both; OUT gets mean and logvar, decoded\n"
    "         of a CLIP text model IN holds 'input_ids' [N,L]; OUT gets last_hidden_state, pooler_output, "
    "hidden_states\n"
    "       guda-worker eval-tokenizer FOLDER|FILE.txt.gz --input TEXTS.json --output IDS.json\n"
    "         TEXTS is a JSON list; FOLDER holds vocab.json and merges.txt of a CLIP tokenizer\n"
    "       guda-worker eval-sampler --input IN.safetensors --output OUT.safetensors\n"
    "         IN holds 'sample', 'outputs', 'noises' and the metadata key 'options' (worker/eval_sampler.hpp)\n"
    "       guda-worker serve --run-dir D --segment NAME --fd N --threads N [--name W] [--neighbours N]\n"
    "         [--checkpoint-every S] [--chaos SPEC]  (started by guda-agent)\n"
    "       guda-worker bench-device --output OUT.json [--device cpu|cuda] [--threads N] [--seconds S] [--folder D]\n"
    "         measures this device within S seconds (started by guda bench-device)\n"
    "       guda-worker time-checkpoint CONFIG.json --folder D [--repeat N]\n"
    "         writes and reads checkpoints of a model of this config in D and prints their size and time\n"
    "       guda-worker --profile EXPERIMENT.yaml [--work train|unlearn|score] [--steps N] [--set KEY=VALUE]...\n"
    "         [--output TRACE.json] [--json]\n"
    "         the ten largest costs of a step; TRACE.json opens in ui.perfetto.dev and chrome://tracing\n"
    "       guda-worker --version\n"
    "example: guda-worker eval-model my-ddpm/unet --input probe.safetensors --output mine.safetensors\n";

/// --name value pairs behind `first`; throws for anything else.
std::map<std::string, std::string> options_from(int argc, char** argv, int first,
                                                const std::map<std::string, bool>& known) {
  std::map<std::string, std::string> options;
  for (int i = first; i < argc; i += 2) {
    const std::string name = argv[i];
    if (!known.contains(name) || i + 1 >= argc)
      throw guda::Error("unknown option or missing value: " + name + "\n" + kUsage);
    options[name] = argv[i + 1];
  }
  for (const auto& [name, required] : known) {
    if (required && !options.contains(name)) throw guda::Error(name + " is missing\n" + kUsage);
  }
  return options;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    const std::string command = argc > 1 ? argv[1] : "--help";
    if (command == "--version") {
      std::printf("guda-worker %s (%s), LibTorch %s\n", kGudaVersion, kGudaCommit, TORCH_VERSION);
      return 0;
    }
    if (command == "--help" || command == "-h") {
      std::fputs(kUsage, stdout);
      return 0;
    }
    if (command == "eval-model" && argc > 2) {
      auto o =
          options_from(argc, argv, 3, {{"--input", true}, {"--output", true}, {"--save", false}, {"--lora", false}});
      return guda::worker::eval_model(argv[2], o["--input"], o["--output"], o["--save"], o["--lora"]);
    }
    if (command == "eval-tokenizer" && argc > 2) {
      auto o = options_from(argc, argv, 3, {{"--input", true}, {"--output", true}});
      return guda::worker::eval_tokenizer(argv[2], o["--input"], o["--output"]);
    }
    if (command == "eval-sampler") {
      auto o = options_from(argc, argv, 2, {{"--input", true}, {"--output", true}});
      return guda::worker::eval_sampler(o["--input"], o["--output"]);
    }
    if (command == "time-checkpoint" && argc > 2) {
      auto o = options_from(argc, argv, 3, {{"--folder", true}, {"--repeat", false}});
      return guda::worker::time_checkpoint(argv[2], o["--folder"],
                                           o.contains("--repeat") ? std::stoi(o["--repeat"]) : 3);
    }
    if (command == "bench-device") {
      auto o = options_from(
          argc, argv, 2,
          {{"--output", true}, {"--device", false}, {"--threads", false}, {"--seconds", false}, {"--folder", false}});
      guda::worker::keep_freed_memory();
      at::set_num_threads(o.contains("--threads") ? std::stoi(o["--threads"]) : 1);
      guda::worker::BenchRequest request;
      guda::jobs::Numerics numerics;
      if (o.contains("--device")) numerics.device = o["--device"];
      if (numerics.device != "cpu") numerics.dtype = "tf32";  // what experiments have where they say nothing else
      request.device = guda::worker::open_device(numerics);
      if (o.contains("--seconds")) request.seconds = std::stod(o["--seconds"]);
      request.folder = o["--folder"];
      request.note = [](const std::string& line) { std::fprintf(stderr, "%s\n", line.c_str()); };
      guda::replace_file(o["--output"], guda::worker::bench_device(request).dump(1) + "\n", false);
      return 0;
    }
    if (command == "--profile") return guda::worker::profile_command({argv + 2, argv + argc});
    if (command == "serve") {
      auto o = options_from(argc, argv, 2,
                            {{"--run-dir", true},
                             {"--segment", true},
                             {"--fd", true},
                             {"--threads", true},
                             {"--name", false},
                             {"--neighbours", false},
                             {"--checkpoint-every", false},
                             {"--chaos", false}});
      guda::worker::ServeConfig config;
      config.run_folder = o["--run-dir"];
      config.segment = o["--segment"];
      config.name = o.contains("--name") ? o["--name"] : config.segment;
      config.chaos = o["--chaos"];
      config.fd = std::stoi(o["--fd"]);
      config.threads = std::stoi(o["--threads"]);
      if (o.contains("--neighbours")) config.neighbours = static_cast<std::uint32_t>(std::stoul(o["--neighbours"]));
      if (o.contains("--checkpoint-every")) config.checkpoints.every = std::stod(o["--checkpoint-every"]);
      return guda::worker::serve_jobs(config);
    }
    std::fputs(kUsage, stderr);
    return 2;
  } catch (const guda::Error& e) {
    std::fprintf(stderr, "guda-worker: %s\n", e.what());
    return 2;
  } catch (const std::exception& e) {
    std::fprintf(stderr, "guda-worker: internal error: %s\n", e.what());
    return 1;
  }
}
