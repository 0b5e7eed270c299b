#pragma once
// What bench-device measures, a file each.
#include "worker/bench/bench_device.hpp"

namespace guda::worker {

/// Matrix product and convolution, as large as the time allows: the roofline.
std::vector<double> weights_of_peaks(torch::Device device);
void bench_peaks(Bench& bench);

/// Copies on the device, from the host, and of an artifact into the node cache.
std::vector<double> weights_of_copies(torch::Device device);
void bench_copies(Bench& bench);

/// The back-ends of scaled_dot_product_attention at the shapes of the reference networks.
std::vector<double> weights_of_attention(torch::Device device);
void bench_attention(Bench& bench);

/// Forwards, training, ReTrack and the optimizer on the reference networks.
std::vector<double> weights_of_networks(torch::Device device);
void bench_networks(Bench& bench);

}  // namespace guda::worker
