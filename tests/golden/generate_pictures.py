"""Pictures and what Pillow and torchvision's arithmetic make of them: tests/golden/pictures. Run with .deps/parity's Python.
Pillow 13.0 with its own libjpeg-turbo (slow integer transform, smooth upsampling: the defaults)."""
from pathlib import Path

import numpy
from PIL import Image
from safetensors.numpy import save_file

OUT = Path(__file__).with_name("pictures")


def scene(width, height):
    """Smooth colours, hard edges and some noise."""
    y, x = numpy.mgrid[0:height, 0:width]
    red = 127 + 120 * numpy.sin(x / 7.0 + y / 11.0)
    green = numpy.where((x // 5 + y // 5) % 2, 220, 30)
    blue = 255 * x / width
    noise = numpy.random.default_rng(3).integers(-12, 13, (height, width, 3))
    return Image.fromarray((numpy.stack([red, green, blue], -1) + noise).clip(0, 255).astype(numpy.uint8))


def resize(image, width, height):
    """Along rows, then along columns. Image.resize of both at once rounds differently where this version of Pillow takes the other order."""
    return image.resize((width, image.height), Image.BILINEAR).resize((width, height), Image.BILINEAR)


def centre_crop(image, side):
    """torchvision.transforms.Resize(side, BILINEAR), CenterCrop(side)."""
    width, height = image.size
    short = min(width, height)
    size = tuple(side if length == short else int(side * length / short) for length in (width, height))
    image = resize(image, *size)
    left, top = (int(round((length - side) / 2.0)) for length in image.size)
    return image.crop((left, top, left + side, top + side))


def main():
    OUT.mkdir(exist_ok=True)
    wide, tall = scene(53, 37), scene(31, 64)
    wide.save(OUT / "wide.jpg", quality=85)                                   # 4:2:0
    tall.save(OUT / "tall.jpg", quality=92, subsampling=0, progressive=True)  # 4:4:4
    tall.convert("L").save(OUT / "grey.jpg", quality=80)
    wide.save(OUT / "wide.png")
    wide.convert("CMYK").save(OUT / "cmyk.jpg")
    expected = {}
    for name in ("wide.jpg", "tall.jpg", "grey.jpg", "wide.png"):
        image = Image.open(OUT / name).convert("RGB")
        expected[name] = numpy.asarray(image)
        for width, height in ((16, 16), (20, 90), (64, 64), (53, 5)):
            expected[f"{name} {width}x{height}"] = numpy.asarray(resize(image, width, height))
        for side in (8, 17, 40):
            expected[f"{name} crop {side}"] = numpy.asarray(centre_crop(image, side))
    save_file({name: numpy.ascontiguousarray(array) for name, array in expected.items()}, OUT / "expected.safetensors")


if __name__ == "__main__":
    main()
