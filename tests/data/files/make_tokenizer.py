"""Writes vocab.json, merges.txt and tokenized.json: a small byte-pair vocabulary in GPT-2's format, and what the
reference makes of difficult texts with it.

    pip install tokenizers==0.23.3
    python make_tokenizer.py
"""
import json
import pathlib

from tokenizers import ByteLevelBPETokenizer

HERE = pathlib.Path(__file__).parent
FOREIGN = ["Grüße aus Köln, schöne Straße.", "Привет, как дела? Привет!", "你好,世界。你好!", "naïve café déjà vu",
           "I'll say it's what they've said; we're sure he'd go, don't I'm", "x = 3.14159; y = 2023-10-05",
           "    indented\n        more\n\n\nblank"]
TEXTS = [
    "", " ", "  ", "   ", "a", " a", "  a", "\n", "\n\n", " \n ", "a\n", "a\n\nb", "a \n b", "\t\tx", "a  b   c    d",
    "Hello, world!", "Hello world. Hello  World", "don't can't I'll they've we're he'd I'm it's", "DON'T IT'S I'LL",
    "'s't're've'm'll'd", "''s ' s 'x '", " 's", "x's's", "'rest", "'very'llama'dog",
    "1234567890", "a1b2c3", " 12 345 6,789.01", "x=1;y=22", "½ ² ٣ Ⅷ 五",
    "!?.,;: --- ... '''", " !!! a", "a!!!b ???c", "#include <vector>\nint main() { return 0; }\n",
    "    def f(x):\n        return x  # comment   \n", "trailing   ", "   leading", "tab\tand\r\nCRLF\r\n",
    "Grüße aus Köln", "schöne Straße", "Привет, мир", "你好,世界", "日本語のテキスト", "한국어 텍스트", "العربية ١٢٣", "हिन्दी में",
    "naïve café e\u0301", "👍 👩‍👩‍👧 🇩🇪🙂", "\U0001F600x\U0001F600", "a\u00a0b\u2003c\u3000d", "\u2028\u2029 x", "a\u200bb",
    "\u0085x \u1680y", "\x1c\x1d\x1e\x1f x", "\x00\x01\x7f", "\ufeffBOM", "\ufffd\uffff",
    "ǅ ʰ ª º 𝒳 𝟘", "Ångström ﬁ ﬂ", "i̇ ß ẞ", "<|endoftext|>", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "ababababab", "the the theatre",
    "permission permissions THE SOFTWARE", " \u00a0 a", "a \u00a0b", " \n\n  x", "\n x", "\r\r\n\n a",
]


def main():
  text = (HERE.parents[2] / "LICENSE").read_text()
  tokenizer = ByteLevelBPETokenizer()
  tokenizer.train_from_iterator([text] + FOREIGN * 3, vocab_size=512, min_frequency=2, show_progress=False,
                                special_tokens=["<|endoftext|>"])
  tokenizer.save_model(str(HERE))
  ordinary = ByteLevelBPETokenizer(str(HERE / "vocab.json"), str(HERE / "merges.txt"))
  cases = []
  for text in TEXTS + FOREIGN:
    pieces = [text[a:b] for _, (a, b) in ordinary.pre_tokenizer.pre_tokenize_str(text)]
    ids = ordinary.encode(text).ids
    assert ordinary.decode(ids) == text or "\ufffd" in text, text
    cases.append({"text": text, "pieces": pieces, "ids": ids})
  (HERE / "tokenized.json").write_text("[\n" + ",\n".join(json.dumps(c) for c in cases) + "\n]\n")


main()
