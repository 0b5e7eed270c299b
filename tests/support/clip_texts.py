"""Texts that a tokenizer of CLIP meets or should survive: deterministic, `count` of them."""
import random
import unicodedata

CAPTIONS = ["a photo of a cat", "A picture of a Tower in the Van Gogh style, artistic style featuring swirling strokes, bold colours",
            "An image of Flowers in Cartoon style.", "isn't it? they'll, we've, I'm, you'd, he's, 're 'RE 'Ll", "3.14159 and 2,000 of 1/2",
            "http://example.org/a?b=c&d=%20 #tag @name", "<|endoftext|>", "a <|startoftext|>b<|ENDOFTEXT|>c", "<|endoftext|", "<start_of_text>",
            "!!!??...---___***", "''s ''''t '", "snake_case CamelCase kebab-case", "100% 50€ £20 ¥1", "e=mc² x₂ ½ Ⅷ ③",
            "Ünïcödé ÀÉÎÕÜ ñ ß ẞ ǅ ﬁ", "cafe\u0301 caf\u00e9 a\u0323\u0307 a\u0307\u0323 \u1e69", "İstanbul ISTANBUL ıi", "ΑΣ Σ ΟΔΥΣΣΕΥΣ ς",
            "Привет, мир", "שלום עולם", "مرحبا بالعالم ١٢٣", "नमस्ते दुनिया", "สวัสดีชาวโลก", "안녕하세요 \u1112\u1161\u11ab", "你好，世界！", "日本語のテキスト、カタカナ・ﾊﾝｶｸ",
            "\U00020000\U0002a6df 𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𝟙𝟚", "😀😃 👍🏽 👩‍👩‍👧‍👦 🇩🇪 ❤️ ☺", "tab\tnew\nline\r\nreturn\x0b\x0cend", "no\u00a0break\u2003em\u3000wide\u2028line\u1680x\u0085y",
            "zero\u200bwidth\u200d\ufeff\u2060", "null\x00bell\x07esc\x1b[0m\x7f\x80\x9f", "\u202eright to left\u202c", "\ufffd\ufffe\uffff\U0010ffff",
            "Z\u0351\u036b\u0343\u036a\u0302\u0324a\u0332\u0327l\u0303g\u0340o\u0301", "\u0301leading mark", "a\u00adsoft hyphen", "\ue000 private \U000f0000",
            "ﷺ ㍿ ﬃ ℡", "가각갂 \u1100\u1161\u11a8", "\u0344 \u0958 \u2126 \u212b \ufb1d"]
ALPHABETS = ["abcdefghijklmnopqrstuvwxyz      ", "ABCDEFGHIJKLMNOPQRSTUVWXYZabc  '", "0123456789.,-+ /", "'strvemld  ", "!\"#$%&()*+-./:;<=>?@[]^_`{|}~ ",
             "äöüßéèêñçøåæœÄÖÜÉ ", "абвгдежзийклмнопрстуфхцчшщъыьэюяАБВ ", "αβγδεζηθικλμνξοπρσςτυφχψωΑΒΓ ", "あいうえおアイウエオ漢字日本語 ", "\t\n\r \u00a0\u2003\u3000"]


def assigned(rng):
    """A code point that Python's Unicode knows, of any plane."""
    while True:
        code = rng.choice([rng.randrange(0x250), rng.randrange(0x3000), rng.randrange(0x10000), rng.randrange(0x20000), rng.randrange(0x110000)])
        if unicodedata.category(chr(code)) not in ("Cs", "Cn"):
            return chr(code)


def texts(count, seed=0, longest=100_000):
    rng = random.Random(seed)
    out = ["", " ", "\n", *CAPTIONS]
    if longest > 1000:
        out += ["very long " * 5000, "x" * longest, "字" * 20_000, "ab'c 1" * 3000, "\u0301" * 3000, "!" * 5000]
    marks = [chr(c) for c in range(0x300, 0x370)]
    while len(out) < count:
        kind = rng.randrange(6)
        if kind == 0:
            out.append("".join(rng.choice(rng.choice(ALPHABETS)) for _ in range(rng.randrange(1, 60))))
        elif kind == 1:
            alphabet = rng.choice(ALPHABETS)
            out.append("".join(rng.choice(alphabet) for _ in range(rng.randrange(1, 120))))
        elif kind == 2:
            out.append("".join(assigned(rng) for _ in range(rng.randrange(1, 40))))
        elif kind == 3:
            out.append("".join(rng.choice("aeiou AEIOU한가") + "".join(rng.choice(marks) for _ in range(rng.randrange(4))) for _ in range(rng.randrange(1, 20))))
        elif kind == 4:
            out.append("".join(chr(rng.randrange(0x80)) for _ in range(rng.randrange(1, 50))))
        else:
            pieces = rng.sample(CAPTIONS, rng.randrange(1, 4))
            rng.shuffle(pieces)
            out.append(rng.choice(["", " ", "  "]).join(pieces)[: rng.randrange(1, 200)])
    return out[:count]
