// write_canvas FOLDER: the pictures of tests/support/small_pictures.hpp, for scripts, which have no JPEG of their own.
#include <cstdio>
#include <exception>
#include <filesystem>

#include "tests/support/small_pictures.hpp"

int main(int count, char** arguments) {
  if (count != 2) return std::fprintf(stderr, "usage: %s FOLDER\n", arguments[0]), 2;
  try {
    std::filesystem::create_directories(arguments[1]);
    guda::test::SmallCanvas canvas;
    canvas.pictures = 6;
    guda::test::write_canvas(arguments[1], canvas);
  } catch (const std::exception& error) {
    return std::fprintf(stderr, "%s\n", error.what()), 1;
  }
  return 0;
}
