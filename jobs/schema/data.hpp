#pragma once
// The sections `dataset` and `groups`.
#include "jobs/schema/field.hpp"

namespace guda::jobs {

template <class Visit>
void describe(Visit& visit, ConfigOf<DatasetConfig> auto& c) {
  visit(Field{.key = "kind",
              .meaning = "what the data set is",
              .choices = "digits|styled_digits|cifar10|unlearncanvas|image_folder"},
        c.kind);
  visit(Field{.key = "path",
              .meaning = "where it is; cifar10: the folder of data_batch_*.bin, test_batch.bin and batches.meta.txt; "
                         "unlearncanvas: of STYLE/OBJECT/ID.jpg; image_folder: what `prompts` names files in",
              .by_default = "digits, styled_digits: the digits shipped with guda"},
        c.path);
  visit(
      Field{.key = "train",
            .meaning = "training items, taken from a seeded permutation; the rest is held out (cifar10: only the test "
                       "batch is, where there is one). Pictures: 0 = all; versions of one picture stay together",
            .unit = "items"},
      c.train);
  visit(Field{.key = "split_seed", .meaning = "seed of that permutation"}, c.split_seed);
  visit(Field{.key = "side",
              .meaning = "cifar10: images are averaged down to so many pixels a side: 16, 8 or 4; 0 = 32 as stored. "
                         "Pictures are resized so, with antialiasing",
              .max = 4096,
              .unit = "pixels",
              .only_key = "kind",
              .only_values = "cifar10|unlearncanvas|image_folder"},
        c.side);
  constexpr std::string_view kPictures = "unlearncanvas|image_folder";
  visit(
      Field{.key = "stretch",
            .meaning = "pictures that are no squares are stretched; false: the shorter side is resized and the middle "
                       "cut out",
            .younger = true,
            .only_key = "kind",
            .only_values = kPictures},
      c.stretch);
  visit(
      Field{.key = "prompts",
            .meaning = "JSON lines {\"file\": .., \"prompt\": .., \"style\": ..}, one for each picture; groups can be "
                       "made by any other key, whose value is a word or a list of words. unlearncanvas: \"rel_path\" "
                       "is the same as \"file\"",
            .example = "prompts.jsonl",
            .by_default = "unlearncanvas: captions are made from `descriptors`",
            .younger = true,
            .only_key = "kind",
            .only_values = kPictures},
      c.prompts);
  visit(
      Field{.key = "descriptors",
            .meaning = "JSON file {\"style\": [words]} with the words that captions describe each style by; then every "
                       "caption must have the form 'A depiction of OBJECT, artistic style featuring WORDS'",
            .example = "descriptors.json",
            .by_default = "none: captions are any text, and GUDA-C has matched_retain only",
            .younger = true,
            .only_key = "kind",
            .only_values = kPictures},
      c.descriptors);
  visit(Field{.key = "skip_bad",
              .meaning = "at most so many pictures that do not decode are left out instead of being an error",
              .max = 1000000,
              .unit = "pictures",
              .younger = true,
              .only_key = "kind",
              .only_values = kPictures},
        c.skip_bad);
}

template <class Visit>
void describe(Visit& visit, ConfigOf<GroupsConfig> auto& c) {
  visit(Field{.key = "by",
              .meaning =
                  "what makes a group: the items of one class (pictures: of one style); those that `prompts` give one "
                  "value of `key`; the lists of a manifest; classes after a share of each "
                  "changed places (noisy); random subsets; the two parts of a class split at random (redundant); "
                  "random parts of classes, each smaller than the one before (unequal)",
              .choices = "class|key|manifest|noisy|random|redundant|unequal"},
        c.by);
  visit(
      Field{.key = "key",
            .meaning = "of the lines of dataset.prompts, beside style and object; an item whose value is a list is in "
                       "several groups",
            .example = "artist",
            .by_default = "none",
            .younger = true,
            .only_key = "by",
            .only_values = "key"},
      c.key);
  visit(Field{.key = "manifest",
              .meaning = "CSV file with the header item,group or JSON file {\"group\": [items]}; an item may be in "
                         "several groups",
              .example = "groups.csv",
              .only_key = "by",
              .only_values = "manifest"},
        c.manifest);
  visit(Field{.key = "seed",
              .meaning = "seed of what is drawn",
              .only_key = "by",
              .only_values = "noisy|random|redundant|unequal"},
        c.seed);
  visit(Field{.key = "noise",
              .meaning = "share of each class that goes to other classes, in equal blocks by random derangements; "
                         "group sizes stay",
              .max = 1,
              .open = true,
              .only_key = "by",
              .only_values = "noisy"},
        c.noise);
  visit(Field{.key = "count",
              .meaning = "random subsets",
              .min = 2,
              .max = 100000,
              .unit = "groups",
              .only_key = "by",
              .only_values = "random"},
        c.count);
  visit(Field{.key = "fraction",
              .meaning = "share of the training items in each of them",
              .max = 1,
              .open = true,
              .only_key = "by",
              .only_values = "random"},
        c.fraction);
  visit(Field{.key = "share",
              .meaning = "share of a class in its larger part",
              .min = 0.5,
              .max = 1,
              .open = true,
              .only_key = "by",
              .only_values = "redundant"},
        c.share);
  visit(
      Field{.key = "ratio",
            .meaning = "items of the largest group per item of the smallest; sizes in between are geometric, the first "
                       "class is whole, what is left of the others belongs to no group",
            .min = 1,
            .max = 1e6,
            .open = true,
            .only_key = "by",
            .only_values = "unequal"},
      c.ratio);
  visit(Field{.key = "only",
              .meaning = "the groups to ask about, in this order; items of others are trained on and belong to none",
              .example = "[Cubism, Dadaism]",
              .by_default = "all",
              .younger = true},
        c.only);
}

}  // namespace guda::jobs
