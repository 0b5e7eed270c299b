#!/usr/bin/env python3
"""Writes font_atlas.cpp: DejaVu Sans (Bitstream Vera licence) drawn once, so that guda needs no font at run time.

font_atlas.py > font_atlas.cpp      needs Pillow and fonts-dejavu-core
"""
from PIL import Image, ImageDraw, ImageFont

FOLDER = "/usr/share/fonts/truetype/dejavu/"
FONTS = [("Regular", "DejaVuSans.ttf", 20), ("Bold", "DejaVuSans-Bold.ttf", 24)]
CODES = [*range(0x20, 0x7F), 0xB1, 0xB7, 0x2026, 0x2212]


def glyph(font, code):
    """Advance, left, top (from the baseline, upwards positive), width, height and 4-bit coverage as hex digits."""
    left, top, right, bottom = font.getbbox(chr(code), anchor="ls")
    width, height = max(0, right - left), max(0, bottom - top)
    image = Image.new("L", (max(1, width), max(1, height)))
    ImageDraw.Draw(image).text((-left, -top), chr(code), 255, font, anchor="ls")
    cover = "".join(f"{(value * 15 + 127) // 255:x}" for value in image.getdata()) if width and height else ""
    return round(font.getlength(chr(code))), left, -top, width, height, cover


print("// Written by font_atlas.py; do not edit. Glyphs of DejaVu Sans, see THIRD_PARTY.md.\n// clang-format off")
print('#include "orchestrator/report/font_atlas.hpp"\n\n#include <array>\n\nnamespace guda::orchestrator::report {\nnamespace {\n')
for name, file, size in FONTS:
    font = ImageFont.truetype(FOLDER + file, size)
    covers, rows = "", []
    for code in CODES:
        advance, left, top, width, height, cover = glyph(font, code)
        rows.append(f"{{{code},{advance},{left},{top},{width},{height},{len(covers)}}}")
        covers += cover
    print(f"constexpr std::array<Glyph, {len(rows)}> k{name}Glyphs{{{{")
    for i in range(0, len(rows), 4):
        print("    " + ", ".join(rows[i:i + 4]) + ",")
    print(f"}}}};\nconstexpr std::string_view k{name}Cover =")
    lines = [covers[i:i + 116] for i in range(0, len(covers), 116)]
    print("\n".join(f'    "{line}"' for line in lines) + ";\n")
print("}  // namespace\n")
for name, file, size in FONTS:
    print(f"const Font k{name}Font{{{size}, k{name}Glyphs, k{name}Cover}};")
print("\n}  // namespace guda::orchestrator::report")
