"""L2 error of float32 convolutions of one tile, by algorithm and channels, against float64: docs/decisions/convolutions.md.

    .deps/tools/bin/python tests/bench/winograd_rounding.py
"""
import numpy as np


def cook_toom(points, outputs, taps=3):
    """(input, weight, output) transforms of F(outputs, taps) that interpolate at `points` and infinity."""
    last = [1.0 if i == outputs - 1 else 0.0 for i in range(outputs)]
    output = np.array([[p**i for p in points] + [last[i]] for i in range(outputs)])
    norm = [np.prod([p - q for q in points if q != p]) for p in points]
    weight = np.array([[p**j / n for j in range(taps)] for p, n in zip(points, norm)] + [[0.0] * (taps - 1) + [1.0]])
    size = outputs + taps - 1
    rows = [(output[i] * weight[:, j], np.eye(size)[i + j]) for i in range(outputs) for j in range(taps)]
    return np.linalg.lstsq(np.array([a for a, _ in rows]), np.array([b for _, b in rows]), rcond=None)[0], weight, output


def errors(points, outputs, channels, tiles=50):
    """(transformed, plain sum)"""
    rng = np.random.default_rng(0)
    size = outputs + 2
    x, g = rng.standard_normal((tiles, channels, size, size)), rng.standard_normal((channels, 3, 3))
    windows = [(i, j) for i in range(3) for j in range(3)]
    exact = sum(np.einsum("bcxy,c->bxy", x[:, :, i:i + outputs, j:j + outputs], g[:, i, j]) for i, j in windows)
    b, w, a = (m.astype(np.float32) for m in cook_toom(points, outputs))
    x, g = x.astype(np.float32), g.astype(np.float32)
    at_points, weights = b @ x @ b.T, w @ g @ w.T
    products, plain = np.zeros((tiles, size, size), np.float32), np.zeros((tiles, outputs, outputs), np.float32)
    for c in range(channels):
        products += at_points[:, c] * weights[c]
        for i, j in windows:
            plain += x[:, c, i:i + outputs, j:j + outputs] * g[c, i, j]
    relative = lambda y: np.linalg.norm(y - exact) / np.linalg.norm(exact)  # noqa: E731
    return relative(a @ products @ a.T), relative(plain)


if __name__ == "__main__":
    for name, points, outputs in (("F(2x2) at 0, 1, -1", (0, 1, -1), 2), ("F(4x4) at 0, 1, -1, 2, -1/2 (ours)", (0, 1, -1, 2, -0.5), 4),
                                  ("F(4x4) at 0, 1, -1, 2, -2", (0, 1, -1, 2, -2), 4)):
        print(name, *(f"{c} channels: {t:.1e} (plain sum {p:.1e})" for c in (16, 48) for t, p in [errors(points, outputs, c)]), sep="; ")
