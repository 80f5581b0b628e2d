#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes the long text that tokens are compared over: mixed_text.py FILE. N_CHUNKS times CHUNK_BYTES of
code, sixteen scripts, emoji, numbers, blanks, special tokens, control characters and bytes that are not
UTF-8, mixed from the material below by a generator of its own, so that every machine writes the same."""
import sys

CHUNK_BYTES, N_CHUNKS = 4096, 288  # chunks are cut blindly, through characters and all

SCRIPTS = [  # words and ends of sentences
    """the of and to in is was that it for with as his on be at by had not are but from have they which one
       you were her all she there would their we him been has when who will more no if out so said what up its
       about into than them can only other new some could time these two may then do first any my now such like
       our over man me even most made after also did many before must through back years where much your way
       well down should because each just those people how too little state good very make world still own see
       men work long get here between both life being under never day same another know while last might us
       great old year off come since against go came right used take three Iñtërnâtiônàlizætiøn naïve café
       Tokenization understanding HTTPServer iPhone McDonald's o'clock it's DON'T we'LL y'all've rock'n'roll""",
    """der die das und ist nicht ein eine für über können müssen Straße größer Übung Äpfel Fußgängerübergänge
       Donaudampfschifffahrtsgesellschaft ça être où élève garçon Noël œuvre naïveté señor mañana niño corazón
       ação coração não avô português città perché più così è İstanbul ılık şeker çığ güneş ağaç Łódź źdźbło
       żółw świat část příliš žluťoučký kůň tiếng Việt đường phố người quốc ngữ sjö ål ø þ ð ß ẞ ſ Ŀ ŉ Dž""",
    """и в не на что быть он с как а то все она так его но да ты к у же вы за бы по только ее мне было вот от
       меня еще нет о из ему теперь когда даже ну вдруг ли если уже или ни быть был него до вас нибудь опять
       Москва Россия ёлка объём съёмка чёрный Україна їжак ґанок љубав џеп ѝ Ђорђе ЖЁЛТЫЙ ПРИВЕТ""",
    """και το να του η της με που την από για είναι τα στο δεν θα μια οι στην τις ένα αυτό τον ήταν των ως
       Ελλάδα ψυχή ΰ ΐ Ἀθῆναι ᾧ φιλοσοφία ΟΔΥΣΣΕΥΣ ς σ""",
    """في من على أن إلى عن مع هذا التي الذي كان ما لا هو هي بين كل قد بعد غير حتى إذا ذلك العربية السلام
       عليكم مُحَمَّد قُرْآن لله ﷺ ﻻ گفت است که این را می‌شود پاکستان ہے اردو ٠١٢٣٤ ۵۶۷۸۹""",
    """של את על לא זה הוא עם גם אני כל היא או יש מה אבל כי אם שלום עולם ירושלים בְּרֵאשִׁית בָּרָא אֱלֹהִים ﬁ ײַ""",
    """के में है की से को और का पर यह एक ने नहीं भी हैं कि जो तो हो था कर ही या हिन्दी क्षत्रिय ज्ञान श्री
       विद्यार्थी संस्कृत १२३४५ क़ ज़ फ़ मराठी नेपाली""",
    """এবং একটি করে থেকে হয় এই তার জন্য বাংলা ভাষা বিশ্ববিদ্যালয় স্বাধীনতা ক্ষমা ১২৩৪ ড় ঢ় য়""",
    """ஒரு என்று மற்றும் இந்த அவர் தமிழ் மொழி வணக்கம் நன்றி ஸ்ரீ க்ஷ ௧௨௩ தொழில்நுட்பம்""",
    """และ ที่ ใน เป็น การ มี ของ ได้ ไม่ ให้ ว่า ภาษาไทย กรุงเทพมหานคร น้ำ ผู้ใหญ่ ๑๒๓ ลาว ພາສາ ລາວ""",
    """的 一 是 不 了 人 我 在 有 他 这 为 之 大 来 以 个 中 上 们 到 说 国 和 地 也 子 时 道 出 而 要 于 就 下 得
       可以 你好 世界 人工智能 机器学习 中华人民共和国 臺灣 繁體中文 蘋果 龍 鬱 㐀 𠀀 𪚥 〇 二〇二四年""",
    """の に は を た が で て と し れ さ ある いる も する から な こと として い や れる など なっ ない この ため
       日本語 東京都 カタカナ ﾊﾝｶｸ ｶﾞ ひらがな がぎぐげご が ぱ 々 ヶ ー 〜 ゟ""",
    """이 그 저 것 수 등 들 및 에서 으로 하다 있다 되다 한국어 대한민국 서울특별시 안녕하세요 감사합니다 ㅋㅋㅋ ㅠㅠ
       각 가 힣 ᄀᆞᆯ""",
    """და არის რომ ეს მე საქართველო თბილისი ᲗᲑᲘᲚᲘᲡᲘ եւ է որ այս Հայաստան Երևան և""",
    """እና ነው የ ላይ ውስጥ ኢትዮጵያ አማርኛ ፩፪፫ ។ ភាសាខ្មែរ កម្ពុជា ១២៣ မြန်မာ ဘာသာ ကျွန်တော် བོད་ སྐད་ ᠮᠣᠩᠭᠣᠯ""",
    """ᏣᎳᎩ ꮳꮃꭹ ᐃᓄᒃᑎᑐᑦ ⵜⴰⵎⴰⵣⵉⵖⵜ 𐌲𐌿𐍄𐌹𐍃𐌺 𞤆𞤵𞤤𞤢𞤪 𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𝕏𝟙𝟚 Ⓐⓑ ⅷ Ⅷ ⅓ ² ₃ ⑦ 𐄇 𒀀 𓀀 ꙮ""",
]
ENDS = [". ", ", ", "! ", "? ", ".\n", "\n", " ", "; ", ": ", "... ", "… ", "。", "，", "？", "！", "、", " — ", "–", "؟ ", "، ",
        "। ", ")", " (", "\"", "“", "” ", "‘", "’", "«", "»", "/", " / ", "-", "_", "'", "'s ", "’s ", "\r\n", ".\n\n", "\t"]
CODE = [
    "int main(int argc, char** argv) {\n    for (int i = 0; i < argc; ++i) {\n        printf(\"%d: %s\\n\", i, argv[i]);\n    }\n    return 0;\n}\n",
    "#include <vector>\n#define MAX(a, b) ((a) > (b) ? (a) : (b))\ntemplate <class T>\nT sum(const std::vector<T>& v) {\n\tT s{};\n\tfor (auto&& x : v) s += x;\n\treturn s;\n}\n",
    "def fib(n: int) -> int:\n    \"\"\"Return the n-th number.\"\"\"\n    a, b = 0, 1\n    while n > 0:\n        a, b, n = b, a + b, n - 1\n\n    return a  # done\n\n\n",
    "class Server(Base):\n    def __init__(self, *args, **kwargs):\n        super().__init__(*args, **kwargs)\n        self._x = {k: v for k, v in kwargs.items() if v is not None}\n",
    "fn main() -> Result<(), Box<dyn Error>> {\n    let v: Vec<&'static str> = vec![\"a\", \"b\"];\n    println!(\"{:?} {}\", v, v.len() as f64 / 2.0);\n    Ok(())\n}\n",
    "const f = async (x) => { await fetch(`/api/${x}?q=1&r=%20`); if (x === null || x !== undefined) return x?.y ?? 0; };\r\n",
    "func (s *Store) Get(ctx context.Context, key string) ([]byte, error) {\n\tif s == nil {\n\t\treturn nil, ErrNil\n\t}\n\treturn s.m[key], nil\n}\n",
    "SELECT u.id, COUNT(*) AS n FROM users u LEFT JOIN orders o ON o.user_id = u.id WHERE u.age >= 18 GROUP BY 1 HAVING n > 3;\n",
    "<!DOCTYPE html>\n<html lang=\"en\">\n  <head><title>x &amp; y</title></head>\n  <body><table><tr><td>1</td></tr></table><b>bold</b><h1></h1></body>\n</html>\n",
    "{\"key\": [1, 2.5, -3e8, true, false, null], \"nested\": {\"a\": \"b\\u00e9\\n\"}, \"path\": \"C:\\\\Temp\\\\x\"}\n",
    "#!/bin/sh\nset -eu\nfor f in *.txt; do\n    [ -f \"$f\" ] && grep -v '^#' \"$f\" | awk '{print $1, $NF}' > /dev/null 2>&1 || exit $?\ndone\n",
    ".section .text\n_start:\n\tmov\t$0x3c, %eax\n\txor\t%edi, %edi\n\tsyscall\n\tvpdpbusd zmm0, zmm1, [rsi+0x40]\n",
    "\\begin{equation}\n  \\int_0^\\infty e^{-x^2}\\,dx = \\frac{\\sqrt{\\pi}}{2} % Gauss\n\\end{equation}\n",
    "| a | b |\n|---|:-:|\n| `x` | **y** |\n\n- [x] done\n- [ ] not\n\n> quote\n\n```python\nprint('hi')\n```\n",
    "diff --git a/x b/x\n@@ -1,3 +1,4 @@ void f()\n-old\n+new\n context\n",
    "<<<<<<< HEAD\nx = 1;;\n=======\nx += 0xDEADBEEFULL >> 3;\n>>>>>>> branch\n",
    "// ---------------------------------------------------------------- //\n/* a */ /** b */ //! c\n/// d\n",
    "^(?:[a-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\\.[a-z]+)*)@(?=\\w)$",
    "module Main where\nmain :: IO ()\nmain = mapM_ print $ filter even [x*x | x <- [1..10], x `mod` 3 /= 0]\n",
    "if(a<b&&c>d||!e)f^=g|h&~i;else{j=k?l:m;}do{n--;}while(n>0);\n",
]
EMOJI = ["😀", "😂🤣", "👍🏽", "👨‍👩‍👧‍👦", "👩🏿‍💻", "🇫🇷🇩🇪", "🏴󠁧󠁢󠁥󠁮󠁧󠁿", "🏳️‍🌈", "❤️", "☺︎", "#️⃣", "1️⃣", "🚀", "🫠", "✅", "🦙", "♠♣♥♦",
         "→⇒", "∀∃∈∑√∞≤≠", "©®™", "€£¥₹₿", "½¼", "°µ§¶", "★☆", "─│┌┐", "█▓▒░", "♩♪♫"]
SPECIAL = ["<s>", "</s>", "<unk>", "<pad>", "<bos>", "<eos>", "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|im_sep|>",
           "<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>",
           "<start_of_turn>", "<end_of_turn>", "<start_of_image>", "<unused7>", "[multimodal]", "<mask>",
           "<|user|>", "<|assistant|>", "<|system|>", "<|end|>", "<|placeholder1|>", "<0x0A>", "<0xE2>", "▁", "▁▁",
           "[INST]", "[/INST]", "[TOOL_CALLS]", "<SPECIAL_20>", "<think>", "</think>", "<tool_call>", "</tool_call>",
           "<|fim_prefix|>", "<|fim_pad|>", "<|repo_name|>", "<fim_prefix>", "<fim_middle>", "<reponame>", "<filename>",
           "<|vision_start|>", "<|object_ref_end|>", "<|endofprompt|>", "[PAD151700]", "<|reserved_special_token_5|>",
           "<|im_start", "im_end|>", "<|<|user|>|>", "<s", "Ġ", "Ċ", "<|tool|>", "<|dummy_3|>", "<table>", "</td>", "<h1>"]
CONTROLS = [bytes([c]) for c in range(0x20)] + [b"\x7f", b"\x1b[31m", b"\x1b[0m"] + [c.encode() for c in (
    "\u0080", "\u0085", "\u009f", "\u00a0", "\u00ad", "\u1680", "\u180e", "\u2000", "\u2009", "\u200b", "\u200c",
    "\u200d", "\u200e", "\u2028", "\u2029", "\u202e", "\u202f", "\u205f", "\u2060", "\u3000", "\ufe0f", "\ufeff",
    "\ufffd", "\ufffe", "\ue000", "\U000e0020", "\U0010ffff")]
INVALID = [b"\x80", b"\xbf\xbf", b"\xff", b"\xfe\xff", b"\xc0\x80", b"\xc1\xbf", b"\xe0\x80\x80", b"\xf0\x80\x80\x80",
           b"\xc3", b"\xc3(", b"\xe2\x82", b"\xe2(\xa1", b"\xf0\x9f\x98", b"\xf0(\x8c\xbc", b"\xed\xa0\x80",
           b"\xed\xa0\xbd\xed\xb8\x80", b"\xed\xbf\xbf", b"\xf4\x90\x80\x80", b"\xf8\x88\x80\x80\x80", b"caf\xe9",
           b"na\xefve", b"\xe4\xbd", b"\xc2", b"\xdf\xbf\xe0\xa0\x7f"]
MARKS = "\u0301\u0300\u0308\u0327\u0323\u0338\u20dd\u034f\u093f\u094d\u0e31\u05b4\u064b\u3099\ufe0f\U0001d165"
BLANKS = [" ", "  ", "   ", "    ", "\n", "\n\n", "\n\n\n", "\t", "\t\t", "\r\n", "\r", " \n", "\n ", "\n    ", " \t", "\x0b", "\x0c",
          "        ", "\r\n\r\n", "\u00a0", "\u3000", " \u2003"]


class Generator:
    """xorshift64* (Vigna 2016); below(n) by the remainder: its bias does not matter here."""

    def __init__(self, seed):
        self.state = seed

    def below(self, n):
        x = self.state
        x ^= x >> 12
        x = (x ^ x << 25) & 0xFFFFFFFFFFFFFFFF
        x ^= x >> 27
        self.state = x
        return (x * 0x2545F4914F6CDD1D & 0xFFFFFFFFFFFFFFFF) % 0xFFFFFFFB % n if n > 1 else 0

    def pick(self, items):
        return items[self.below(len(items))]


def to_bytes(text):
    return text.encode("utf-8", "surrogatepass")


def prose(g):
    words = g.pick(SCRIPTS).split()
    out = ""
    for _ in range(4 + g.below(40)):
        word = g.pick(words)
        shape = g.below(24)
        out += word.upper() if shape == 0 else word.capitalize() if shape == 1 else word
        if g.below(30) == 0:
            out += g.pick(MARKS)
        out += g.pick(ENDS) if g.below(6) == 0 else " "
    return to_bytes(out)


def mixed_scripts(g):
    return to_bytes("".join(g.pick(g.pick(SCRIPTS).split()) + g.pick(["", "", " ", "1", "-", "'", "/"])
                            for _ in range(3 + g.below(12))))


def code(g):
    lines = g.pick(CODE).split("\n")
    first = g.below(len(lines))
    indent = g.pick(["", "", "", "    ", "\t", "        "])
    return to_bytes("\n".join(indent + line for line in lines[first:]))


def emoji(g):
    return to_bytes("".join(g.pick(EMOJI) + g.pick(["", "", " ", "a"]) for _ in range(1 + g.below(8))))


def numbers(g):
    out = ""
    for _ in range(1 + g.below(8)):
        digits = g.pick(["0123456789", "0123456789", "0123456789", "٠١٢٣٤٥٦٧٨٩", "०१२३४५६७८९", "０１２３４５６７８９", "²³¹½⅓Ⅷ①"])
        out += "".join(g.pick(digits) for _ in range(1 + g.below(9)))
        out += g.pick([" ", ".", ",", "-", "/", ":", "%", "e", "x", "", "\n", " $", "+", "st "])
    return to_bytes(out)


def blanks(g):
    return to_bytes("".join(g.pick(BLANKS) for _ in range(1 + g.below(6))) + g.pick(["", "x", "!", "1", "é", "'s"]))


def special(g):
    return to_bytes("".join(g.pick(SPECIAL) + g.pick(["", "", " ", "  ", "\n", "\n\n", " \t", "Hi", "\u00a0"])
                            for _ in range(1 + g.below(5))))


def controls(g):
    return b"".join(g.pick(CONTROLS) + g.pick([b"", b"", b" ", b"a"]) for _ in range(1 + g.below(8)))


def invalid(g):
    return b"".join(g.pick(INVALID) + g.pick([b"", b" ", b"a", b"\n", b"1", to_bytes("é")]) for _ in range(1 + g.below(6)))


def random_bytes(g):
    return bytes(g.below(256) for _ in range(1 + g.below(24)))


def random_characters(g):
    out = b""
    for _ in range(2 + g.below(20)):
        limit = g.pick([0x80, 0x250, 0x3000, 0x10000, 0x110000])
        out += to_bytes(chr(g.below(limit))) + g.pick([b"", b"", b" ", b"a", b"Z", b"'"])
    return out


def ascii_noise(g):
    return bytes(0x20 + g.below(95) for _ in range(2 + g.below(40)))


def case_mix(g):
    letters = g.pick(["aA", "aAé", "aAbB中", "sStT'", "aZÉ'sLl'", "ǅaA", "xXя"])
    return to_bytes("".join(g.pick(letters) for _ in range(2 + g.below(16))) + g.pick(["", " ", "'ll ", "'RE"]))


def repeated(g):
    unit = g.pick(["a", "=", "-", " ", "\n", "ab", "中", "1", "!?", "😀", "'s", "\r\n", "\u0301", "/", "\t", "Z"])
    return to_bytes(unit * (2 + g.below(70)))


KINDS = ([prose] * 12 + [code] * 7 + [mixed_scripts] * 3 + [emoji] * 2 + [numbers] * 2 + [blanks] * 3 + [special] * 3 +
         [controls] * 2 + [invalid] * 2 + [random_bytes, random_characters, random_characters, ascii_noise, case_mix, case_mix,
                                           repeated])


def mixed_text():
    g = Generator(0x2026)
    parts, n = [], 0
    while n < CHUNK_BYTES * N_CHUNKS:
        parts.append(g.pick(KINDS)(g))
        n += len(parts[-1])
    return b"".join(parts)[:CHUNK_BYTES * N_CHUNKS]


if __name__ == "__main__":
    with open(sys.argv[1], "wb") as f:
        f.write(mixed_text())
