#pragma once
// UnlearnCanvas (Zhang et al. 2024, arXiv 2402.11846): 60 styles x 20 objects x 20 pictures of 512 x 512.
#include <array>
#include <cstdint>
#include <string_view>

namespace guda::jobs {

inline constexpr std::array<std::string_view, 60> kCanvasStyles{"Abstractionism",
                                                                "Artist Sketch",
                                                                "Blossom Season",
                                                                "Blue Blooming",
                                                                "Bricks",
                                                                "Byzantine",
                                                                "Cartoon",
                                                                "Cold Warm",
                                                                "Color Fantasy",
                                                                "Comic Etch",
                                                                "Crayon",
                                                                "Crypto Punks",
                                                                "Cubism",
                                                                "Dadaism",
                                                                "Dapple",
                                                                "Defoliation",
                                                                "Dreamweave",
                                                                "Early Autumn",
                                                                "Expressionism",
                                                                "Fauvism",
                                                                "Foliage Patchwork",
                                                                "French",
                                                                "Glowing Sunset",
                                                                "Gorgeous Love",
                                                                "Greenfield",
                                                                "Impasto",
                                                                "Impressionism",
                                                                "Ink Art",
                                                                "Joy",
                                                                "Liquid Dreams",
                                                                "Magic Cube",
                                                                "Meta Physics",
                                                                "Meteor Shower",
                                                                "Monet",
                                                                "Mosaic",
                                                                "Neon Lines",
                                                                "On Fire",
                                                                "Palette Knife",
                                                                "Pastel",
                                                                "Pencil Drawing",
                                                                "Picasso",
                                                                "Pointillism",
                                                                "Pop Art",
                                                                "Rainwash",
                                                                "Realistic Watercolor",
                                                                "Red Blue Ink",
                                                                "Rust",
                                                                "Sketch",
                                                                "Sponge Dabbed",
                                                                "Structuralism",
                                                                "Superstring",
                                                                "Surrealism",
                                                                "Techno",
                                                                "Ukiyoe",
                                                                "Van Gogh",
                                                                "Vibrant Flow",
                                                                "Warm Love",
                                                                "Warm Smear",
                                                                "Watercolor",
                                                                "Winter"};

inline constexpr std::array<std::string_view, 20> kCanvasObjects{
    "Architectures", "Bears",   "Birds",   "Butterfly", "Cats",  "Dogs",      "Fishes",
    "Flame",         "Flowers", "Frogs",   "Horses",    "Human", "Jellyfish", "Rabbits",
    "Sandwiches",    "Sea",     "Statues", "Towers",    "Trees", "Waterfalls"};

inline constexpr std::uint32_t kCanvasPictures = 20;  ///< of each object in each style

}  // namespace guda::jobs
