#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# Makes tokens/: what llama.cpp makes of the strings below and of mixed_text.py's text, by the installed
# llama_cpp package (llama-cpp-python 0.3.36).
#   make_tokens.py smollm2=MODEL.gguf llama-spm=V.gguf ...
# README.md beside this file describes the vocabularies and the format.
import ctypes
import random
import struct
import sys
from pathlib import Path

import llama_cpp

from mixed_text import CHUNK_BYTES, mixed_text

HERE = Path(__file__).parent
sys.path.append(str(HERE.parent / "boot"))
from xxh64 import xxh64  # noqa: E402

PROSE = """
Hello world
 Hello world
Hello  World!
  leading and trailing  
The quick brown fox jumps over the lazy dog.
What is the capital of France?
I'm sure they've said we'll go, you'd know it's John's; don't!
I'M SURE THEY'VE SAID WE'LL GO, YOU'D KNOW IT'S JOHN'S; DON'T!
I’m sure they’ve said we’ll go
'tis 'twas rock 'n' roll '90s 'r 'v 'l 'll've
''s '' ''' 's's's 'S'T'M'D'RE'VE'LL
She said: "It's (almost) 12:30 — or is it 13:45?"
e.g. i.e. etc... U.S.A. Ph.D. 3.14 -2.718e-10 1,234,567.89
https://example.com/path/to?query=1&other=%20x#fragment
user.name+tag@example.co.uk
$100 €200 £300 ¥400 ₹500 ₿600 ¢5
a+b=c x^2 y_1 z* {q} [w] |v| ~u `t` @s #r %p &n <m> /l \\k
!!! ??? ... ,,, ;;; --- ___ === *** ### $$$ %%% &&& +++ ~~~ ```
(((nested)))[[[brackets]]]{{{braces}}}<<<angles>>>
!@#$%^&*()_+-=[]{}|;':",./<>?`~
a-b a - b a--b a—b a–b
CamelCaseWords snake_case_words kebab-case-words SCREAMING_CASE
antidisestablishmentarianism pneumonoultramicroscopicsilicovolcanoconiosis
Supercalifragilisticexpialidocious
naïve café résumé Zürich smörgåsbord façade coöperate
ÀÉÎÕÜ àéîõü Łódź Ångström İstanbul ıI ſtraße ẞß
Привет, мир! Как дела?
Съешь же ещё этих мягких французских булок, да выпей чаю
Γειά σου Κόσμε! Ἀρχιμήδης
שלום עולם! מה שלומך?
مرحبا بالعالم! كيف حالك؟ ١٢٣٤٥
سلام دنیا ۱۲۳۴۵ ‎abc‏
नमस्ते दुनिया १२३४५
வணக்கம் உலகம் ௧௨௩
สวัสดีชาวโลก ๑๒๓๔๕
你好，世界！今天天气很好。
我喜歡吃蘋果，你呢？
中文English混合テキスト123
こんにちは世界！カタカナ　ひらがな
東京都千代田区１−２−３
ｆｕｌｌｗｉｄｔｈ　ＦＵＬＬ　１２３
안녕하세요 세계! 한국어 텍스트입니다.
각 가 까 ᄀᆞᆯ
ស្វាគមន៍ពិភពលោក
გამარჯობა მსოფლიო
Բարեւ աշխարհ
ሰላም ልዑል
ᏣᎳᎩ ᎦᏬᏂᎯᏍᏗ
𝕳𝖊𝖑𝖑𝖔 𝓦𝓸𝓻𝓵𝓭 𝟏𝟐𝟑 ℌ ℵ
Ⅷ ⅷ ½ ⅓ ² ³ ₁ ① ㊿ ㉈ 〇 一二三
x²+y²=z² H₂O CO₂ 10³ m/s²
√2 ≈ 1.414 ∑∏∫∂∇ ≤≥≠±×÷ ∞ ∈∉⊂⊃ ∀∃
→←↑↓↔⇒⇐ ■□▲△●○★☆ ♠♣♥♦ ♩♪♫♬
😀😃😄 😁 🤣😂 text🙂text
👨‍👩‍👧‍👦 👩🏽‍💻 🧑🏿‍🚀 👍🏻👍🏼👍🏽👍🏾👍🏿
🇫🇷🇩🇪🇯🇵 🏴󠁧󠁢󠁥󠁮󠁧󠁿 🏳️‍🌈 ❤️ ☺︎ #️⃣ 1️⃣
🚀 (normal) 😶‍🌫️ (multiple emojis concatenated) ✅ 🦙🦙
Tab\tseparated\tvalues
\tleading tab
\t\t\tthree tabs
 \t \t mixed \t \t 
line one\nline two\nline three
line one\r\nline two\r\n
\r\r\n\n\r mixed ends\r
\n
\n\n
\n\n\n
\n\n\n\n\n\n\n\n\n\n
\r
\r\n
\t
 
  
   
    
 \n
\n 
 \n \n
  \n  \n  
   x\n   y\n
end with newline\n
end with two\n\n
end with blanks   
end with tab\t
\n\nstart with two
\x0b\x0c vertical and form feed
text\n\n  text
text \n\n\n text
:\n  - item\n  - item
!\n!\r\n!\n\n
?!\n\n\n\n?!
. \n. \n
a\u00a0b \u00a0 c\u00a0
a\u2003b\u2009c\u200ad\u202fe\u205ff\u3000g
a\u0085b\u2028c\u2029d\u1680e
zero\u200bwidth\u200cjoin\u200der\u2060\ufeffbom
soft\u00adhyphen \u00ad
e\u0301 a\u0300 o\u0308 n\u0303 c\u0327
Z\u0351\u036b\u0343\u036a\u0302\u036b\u033d\u034f\u0334\u0319\u0324\u031e\u0349\u035a\u032f\u031e\u0320\u034dA\u036b\u0357\u0334\u0362\u0335
\u0301alone \u0308 \u20dd
\u093f\u094d \u0e31\u0e34
q\u0307\u0323 \u1e69 s\u0323\u0307
\u202eright to left\u202c \u2067iso\u2069
\uf8ff \ue000 private \U000f0000 \U0010ffff
\ufffd replacement \ufffe \uffff
\u0378 unassigned \u0530 \U000e0080
\u1112\u1161\u11ab\u1100\u1173\u11af
\uac00\uac01\ud7a3 \u3131\u314f
\U0001f468\u200d \u200d\U0001f469
\U00020000\U0002a6d6 \U0002ebf0 \U00030000 \U000323af
\U0001e900\U0001e922 \U00010400\U00010428
\U00011f04\U00011f50 \U0001e4d0\U0001e4f0
\u0660\u06f0\u0966\u09e6\u1040\u17e0\uff10\U0001d7ce
12\u0663\u0664567\u06f8
\u2460\u2474\u3220\u3280\u2155\u2189 1\u20442
\u00aa\u00ba \u02b0\u02c1\u02c2 \u1d2c \ua7f8
\u2160\u216b\u2180 \u3007\u3021 \U00010140
\u00a7\u00b6\u00a9\u00ae\u2122\u00b0\u00b5
\u00bfQu\u00e9? \u00a1S\u00ed! \u00abcita\u00bb \u201equote\u201d \u2018s\u2019
\u00b4 \u00a8 \u00af \u02c6 ^ ` \u02dc
0
1
12
123
1234
12345
123456
1234567
12345678
123456789
1234567890
 1
 12
  123
 1 2 3 4
007 0x1F 0b101 1e10 1_000
3.14159265358979323846264338327950288419716939937510
192.168.0.1:8080 2024-02-29T23:59:59Z +1 (555) 123-4567
a1b2c3 1a2b3c abc123def456 x86-64 H264
１２３４ ١٢٣٤ 1٢3٤
1\u00bd 2\u00b2 \u00b9\u00b2\u00b3\u2074
"""
CODE = [
    "int main(int argc, char** argv) {\n    return printf(\"%d\\n\", argc) < 0;\n}\n",
    "def f(x):\n    if x > 0:\n        return x ** 2\n\n    return -x  # done\n",
    "for (size_t i = 0; i < n; ++i) sum += a[i] * b[i];",
    "#include <cstdint>\n#define MAX(a, b) ((a) > (b) ? (a) : (b))\n",
    "SELECT id, name FROM users WHERE age >= 18 AND name LIKE 'A%' ORDER BY id DESC;",
    "<!DOCTYPE html>\n<html lang=\"en\">\n\t<head><title>x</title></head>\n</html>",
    "{\"key\": [1, 2.5, -3e8, true, false, null], \"nested\": {\"a\": \"b\\u00e9\"}}",
    "let v: Vec<&'static str> = vec![\"a\", \"b\"]; println!(\"{:?}\", v);",
    "x = [i for i in range(10) if i % 2 == 0] + [None] * 3",
    "\tif (!ptr) {\r\n\t\tgoto fail;\r\n\t}\r\n",
    "$ ls -la /usr/local/bin | grep -v '^d' > out.txt 2>&1 && echo $?",
    "a &&= b ||= c ??= d; e => f; g -> h; i :: j; k <=> l",
    "mov rax, [rbp-0x8]\nadd rax, 0xDEADBEEF\nret",
    "\\begin{equation} \\frac{a}{b} \\end{equation} % note",
    "```python\nprint('hi')\n```\n\n- [x] done\n- [ ] not\n",
    "// ---------------------------------------------------------------- //",
    "/* a */ /** b */ //! c\n/// d",
    "0xFFFFFFFFFFFFFFFF 1ULL<<63 ~0u -1LL 1.0f 1e-9",
    "if(a<b&&c>d||!e)f^=g|h&~i;",
    "diff --git a/x b/x\n@@ -1,3 +1,4 @@\n-old\n+new\n context\n",
    "version: '3'\nservices:\n  web:\n    image: \"nginx:1.25\"\n    ports:\n      - 80:80\n",
    "C:\\Windows\\System32\\drivers\\etc\\hosts",
    "^(?:[a-z0-9!#$%&'*+/=?^_`{|}~-]+)*@(?=\\w)$",
    "<<<<<<< HEAD\n=======\n>>>>>>> branch\n",
]
SPECIAL = [
    "<|im_start|>", "<|im_end|>", "<|endoftext|>", "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n",
    "a<|im_end|>b", " <|im_end|> ", "  <|im_start|>  <|im_start|>  ", "<|im_start|><|im_end|>",
    "<|im_start", "im_start|>", "<|<|im_start|>|>", "<|im_end|><|im_end|><|im_end|>",
    "<s>", "</s>", "<unk>", "<s>Hello</s>", "<s> Hello </s> <s>again", "a<s>b</s>c<unk>d", " <s>", "<s><s>",
    "<pad>", "<0x0A>", "<0x41><0xFF>", "\u2581", "\u2581\u2581 \u2581Hello", "[INST] Hi [/INST]",
    "<<SYS>>\nBe brief.\n<</SYS>>\n\n",
    "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|>", "<|eot_id|>", "<|eom_id|>",
    "<|reserved_special_token_0|><|reserved_special_token_10|>", "<|end_of_text|>x<|begin_of_text|>",
    "<|user|>\nHi</s>\n<|assistant|>\n", "<repo_name>x<file_sep>y<issue_start>", "<jupyter_code>1<jupyter_output>",
    "<gh_stars>100", "<empty_output>", "<file_sep><file_sep>", "<issue_comment>text<issue_closed>",
    "\u0120Hello \u0120 \u010a \u00c4\u00a0",
]
INVALID = [
    b"\x80", b"\xbf\xbf", b"a\x80b", b"\xff", b"\xfe\xff", b"x\xffy\xfez", b"\xc0\x80", b"\xc1\xbf",
    b"\xe0\x80\x80", b"\xf0\x80\x80\x80", b"\xc3", b"\xc3(", b"caf\xc3", b"\xe2\x82", b"\xe2\x82 \xac",
    b"\xe2(\xa1", b"\xf0\x9f\x98", b"\xf0\x9f\x98 ok", b"\xf0(\x8c\xbc", b"\xed\xa0\x80", b"\xed\xa0\xbd\xed\xb8\x80",
    b"\xed\xbf\xbf", b"\xf8\x88\x80\x80\x80", b"\xfc\x84\x80\x80\x80\x80", b"caf\xe9 latin-1 na\xefve",
    b"\x00", b"a\x00b", b"\x00\x00\x00", b"\x01\x02\x03\x7f", b"\x1b[31mred\x1b[0m", b"\xef\xbb\xbfBOM",
    b"good \xe4\xbd\xa0 bad \xe4\xbd good", b" \x80 \x80 ", b"\n\x80\n", b"'\xe2\x80", b"1\x802\x803",
    b"\xe4\xbd\xa0\xe5\xa5", b"\xc2", b"\xc2\xc2\xc2", b"\xdf\xbf\xe0\xa0\x7f",
]


def all_strings():
    prose = [line.encode("raw_unicode_escape").decode("unicode_escape", "surrogatepass")
             if "\\" in line and not line.startswith("a+b=c") else line
             for line in PROSE.strip("\n").split("\n")]
    strings = [b""]
    strings += [s.encode("utf-8", "surrogatepass") for s in prose + CODE + SPECIAL]
    strings += INVALID
    strings += [b" " * n for n in (5, 7, 8, 15, 16, 17, 31, 33, 64, 100, 500)]
    strings += [b" " * n + b"x" for n in (2, 3, 4, 9, 24, 80)]
    strings += [b"\n" * n + b"x" for n in (1, 2, 3, 5, 30)]
    strings += [b"\t" * n for n in (2, 5, 20)]
    strings += [b"a" * 1500, b"ab" * 700, "\u4e2d".encode() * 300, b"1" * 400, b"=" * 333, b"!?" * 200]
    strings += ["\U0001f600".encode() * 100, b"'s" * 100, b"\r\n" * 60, "\u0301".encode() * 50, b"\xff" * 30]
    rng = random.Random(2)
    letters = "abcdefghijklmnopqrstuvwxyz"
    strings += ["".join(rng.choice(letters) for _ in range(1000)).encode()]
    pools = [letters + "     '", "0123456789 .,", " \t\n\r", "aé中😀 \u0301'1\n.",
             "".join(map(chr, range(0x20, 0x7f))) + "\n\t", "".join(map(chr, range(0xa0, 0x250))),
             "<|im_start|>s</unk> \n", "'sStTmMdDrReEvVlL '"]
    for pool in pools:
        for n in (8, 40, 120):
            strings.append("".join(rng.choice(pool) for _ in range(n)).encode())
    for _ in range(24):  # any code points at all, with words and blanks between
        parts = []
        for _ in range(30):
            c = rng.choice([rng.randrange(0x80, 0x3000), rng.randrange(0x10000), rng.randrange(0x110000)])
            parts.append(chr(c).encode("utf-8", "surrogatepass") + rng.choice([b"", b"", b" ", b"a", b"1"]))
        strings.append(b"".join(parts))
    for _ in range(8):
        strings.append(bytes(rng.randrange(256) for _ in range(48)))
    return list(dict.fromkeys(strings))


def without_too_high(text):
    """Sequences past U+10FFFF stop llama.cpp's program where it reads UTF-8, that is for BPE: each byte of one
    is taken as U+FFFD, which is what llama.cpp makes of every other byte that begins no sequence."""
    out, i = b"", 0
    while i < len(text):
        sequence = text[i:i + 4]
        too_high = (len(sequence) == 4 and 0xF0 <= sequence[0] < 0xF8 and all(b & 0xC0 == 0x80 for b in sequence[1:]) and
                    (sequence[0] & 7) << 18 | (sequence[1] & 0x3F) << 12 > 0x10FFFF)
        out += "\ufffd".encode() * 4 if too_high else text[i:i + 1]
        i += 4 if too_high else 1
    return out


class Vocabulary:
    def __init__(self, path):
        params = llama_cpp.llama_model_default_params()
        params.vocab_only = True
        self.model = llama_cpp.llama_model_load_from_file(str(path).encode(), params)
        if not self.model:
            sys.exit(f"{path}: llama.cpp cannot load it")
        self.vocab = llama_cpp.llama_model_get_vocab(self.model)
        self.is_bpe = llama_cpp.llama_vocab_type(self.vocab) == llama_cpp.LLAMA_VOCAB_TYPE_BPE

    def ids(self, text, parse_special):
        room = 4 * len(text) + 16
        ids = (llama_cpp.llama_token * room)()
        n = llama_cpp.llama_tokenize(self.vocab, text, len(text), ids, room, False, parse_special)
        if n < 0:
            sys.exit("more tokens than expected")
        return bytes(ids)[:4 * n]

    def line(self, text):
        """Count and XXH64 of the ids with special tokens parsed, and without where that differs."""
        if self.is_bpe:
            text = without_too_high(text)
        parsed, literal = (self.ids(text, parse) for parse in (True, False))
        return " ".join(f"{len(ids) // 4} {xxh64(ids):016x}" for ids in dict.fromkeys([parsed, literal]))

    def facts(self):
        lib, vocab = llama_cpp, self.vocab
        n = lib.llama_vocab_n_tokens(vocab)
        buffer = ctypes.create_string_buffer(4096)

        def pieces(special):
            every = []
            for token in range(n):
                n_bytes = lib.llama_token_to_piece(vocab, token, buffer, len(buffer), 0, special)
                every.append(struct.pack("<I", n_bytes) + buffer.raw[:n_bytes])
            return f"{xxh64(b''.join(every)):016x}"

        ends = [str(token) for token in range(n) if lib.llama_vocab_is_eog(vocab, token)]
        return [f"bos {lib.llama_vocab_bos(vocab)} eos {lib.llama_vocab_eos(vocab)} "
                f"add_bos {int(lib.llama_vocab_get_add_bos(vocab))} add_eos {int(lib.llama_vocab_get_add_eos(vocab))}",
                f"eog {' '.join(ends)}",
                f"pieces {pieces(True)} {pieces(False)}"]


def write(name, path, strings, chunks):
    vocabulary = Vocabulary(path)
    lines = vocabulary.facts() + [vocabulary.line(text) for text in strings + chunks]
    (HERE / "tokens" / f"{name}.txt").write_text("\n".join(lines) + "\n")
    print(f"{name}: {len(strings)} strings, {len(chunks)} chunks", flush=True)


def main():
    strings, mixed = all_strings(), mixed_text()
    chunks = [mixed[i:i + CHUNK_BYTES] for i in range(0, len(mixed), CHUNK_BYTES)]
    (HERE / "tokens").mkdir(exist_ok=True)
    (HERE / "tokens" / "strings.hex").write_text("\n".join(s.hex() or "-" for s in strings) + "\n")
    (HERE / "tokens" / "mixed_text.xxh64").write_text(f"{xxh64(mixed):016x}\n")
    for argument in sys.argv[1:]:
        name, path = argument.split("=", 1)
        write(name, path, strings, chunks)


if __name__ == "__main__":
    main()
