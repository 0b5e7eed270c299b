// What a reader is told that a similarity compares.
#include <doctest/doctest.h>

#include <set>
#include <string>

#include "jobs/methods/methods.hpp"

TEST_CASE("similarity: every kind of features has words of its own") {
  std::set<std::string> words;
  guda::jobs::SimilarityConfig config;
  for (const char* features : {"pixels", "clip", "npy", "latents", "captions"}) {
    config.features = features;
    config.items = "folder/dino-train.npy";
    words.insert(guda::jobs::compared_features(config));
  }
  config.features = "clip";
  config.projected = true;
  words.insert(guda::jobs::compared_features(config));
  CHECK(words.size() == 6);
  CHECK(words.contains("embeddings from dino-train.npy"));
  CHECK(words.contains("latents"));
}
