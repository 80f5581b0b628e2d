#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes renderings.json: what llama.cpp's Jinja engine renders for the conversations below with the
templates named below. make_chat.py --source LLAMA_CPP --libraries FOLDER --models FOLDER [--show NAME]
LLAMA_CPP is vendor/llama.cpp of llama-cpp-python 0.3.36's source package, FOLDER of libraries where it was
built with -DBUILD_SHARED_LIBS=ON, --models the folder of default.gguf. --show prints one template's
renderings whole. Lines of more than 64 bytes, which are the templates' own prose, stand in the file as
#BYTES:SHA-256 (its first 16 digits)."""
import argparse
import datetime
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

DATE = datetime.date(2025, 4, 18)
SHORT = {"s": "system", "u": "user", "a": "assistant"}
CONVERSATIONS = {
    "user": [("u", "Hi there")],
    "system, user": [("s", "Be brief."), ("u", "Hi there")],
    "system, user, assistant, user": [
        ("s", "You are a bot."), ("u", "What is 1+1?"), ("a", "It is 2."), ("u", "And 2+2?")],
    "user, assistant, user": [("u", "What is 1+1?"), ("a", "It is 2."), ("u", "And 2+2?")],
    "five messages": [("u", "One"), ("a", "Two"), ("u", "Three"), ("a", "Four"), ("u", "Five")],
    "blanks around everything": [
        ("s", " \n\tBe\n\n brief. \n"), ("u", "\n\n  Hi  there \t"), ("a", " \n Hello!\n\n"), ("u", " Bye \n ")],
    "blanks, no system message": [("u", "\n\n  Hi  there \t"), ("a", "\n Hello! \n"), ("u", "\tBye\n")],
    "a reply with reasoning": [("u", "1+1?"), ("a", "<think>\nLet me see.\n</think>\n\nIt is 2."), ("u", "2+2?")],
    "a reply whose reasoning the prompt began": [("u", "1+1?"), ("a", "Let me see.\n</think>\n\n 2\n"), ("u", "2+2?")],
    "text of all kinds": [
        ("s", "Sprich \"Deutsch\" \\n {{ x }}"), ("u", "Größe? 你好 {% if %} <b>"), ("a", "'None' <|im_end|>"),
        ("u", "[INST] </s> <start_of_turn>")],
    "a system message that switches reasoning off": [("s", "Be brief. /no_think"), ("u", "Hi there")],
    "a system message that does only that": [("s", "/no_think"), ("u", "Hi there")],
}
# How reasoning is asked for: enable_thinking, and variables beside it (Granite's own).
MODES = {"default": (True, {}), "on": (True, {"thinking": True}), "off": (False, {"thinking": False})}

# name: (beginning of sequence, end of sequence)
LLAMA3, MISTRAL = ("<|begin_of_text|>", "<|eot_id|>"), ("<s>", "</s>")
QWEN, GRANITE = ("<|endoftext|>", "<|im_end|>"), ("<|end_of_text|>", "<|end_of_text|>")
DEEPSEEK = ("<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>")
TEMPLATES = {
    "meta-llama-Llama-3.1-8B-Instruct": LLAMA3,
    "meta-llama-Llama-3.2-3B-Instruct": LLAMA3,
    "meta-llama-Llama-3.3-70B-Instruct": LLAMA3,
    "NousResearch-Hermes-2-Pro-Llama-3-8B-tool_use": ("<|begin_of_text|>", "<|im_end|>"),
    "NousResearch-Hermes-3-Llama-3.1-8B-tool_use": ("<|begin_of_text|>", "<|im_end|>"),
    "fireworks-ai-llama-3-firefunction-v2": LLAMA3,
    "meetkai-functionary-medium-v3.1": LLAMA3,
    "meetkai-functionary-medium-v3.2": LLAMA3,
    "deepseek-ai-DeepSeek-R1-Distill-Llama-8B": DEEPSEEK,
    "deepseek-ai-DeepSeek-R1-Distill-Qwen-32B": DEEPSEEK,
    "llama-cpp-deepseek-r1": DEEPSEEK,
    "mistralai-Mistral-Nemo-Instruct-2407": MISTRAL,
    "Mistral-Small-3.2-24B-Instruct-2506": MISTRAL,
    "unsloth-mistral-Devstral-Small-2507": MISTRAL,
    "mistralai-Ministral-3-14B-Reasoning-2512": MISTRAL,
    "Bielik-11B-v3.0-Instruct": ("<s>", "<|im_end|>"),
    "unsloth-Apriel-1.5": ("<s>", "<|end|>"),
    "Apriel-1.6-15b-Thinker-fixed": ("<s>", "<|end|>"),
    "HuggingFaceTB-SmolLM3-3B": ("<|begin_of_text|>", "<|im_end|>"),
    "Qwen-Qwen2.5-7B-Instruct": QWEN,
    "Qwen-QwQ-32B": QWEN,
    "Qwen-Qwen3-0.6B": QWEN,
    "Qwen3-Coder": QWEN,
    "MiMo-VL": QWEN,
    "google-gemma-2-2b-it": ("<bos>", "<eos>"),
    "microsoft-Phi-3.5-mini-instruct": ("<s>", "<|endoftext|>"),
    "ibm-granite-granite-3.3-2B-Instruct": GRANITE,
    "ibm-granite-granite-4.0": GRANITE,
    "ibm-granite-granite-4.1": GRANITE,
}
GGUFS = {"SmolLM2-135M-Instruct": ("default.gguf", ("<|im_start|>", "<|im_end|>"))}


def shortened(text):
    lines = []
    for line in text.split("\n"):
        data = line.encode()
        lines.append(line if len(data) <= 64 else f"#{len(data)}:{hashlib.sha256(data).hexdigest()[:16]}")
    return "\n".join(lines)


def build(source, libraries, folder):
    program = folder / "render"
    subprocess.run(["g++", "-std=c++17", "-rdynamic", str(Path(__file__).with_name("render.cpp")), "-o", str(program),
                    *[f"-I{source / p}" for p in ("common", "include", "ggml/include", "vendor")], f"-L{libraries}",
                    "-lllama-common", "-lllama", "-lggml", "-lggml-base", f"-Wl,-rpath,{libraries}"], check=True)
    return program


def render(program, text, specials, folder):
    file = folder / "template"
    file.write_text(text, encoding="utf-8", newline="")
    variables = {"date_string": DATE.strftime("%d %b %Y"), "datetime": DATE.strftime("%b %d %Y")}
    cases = [{"messages": [{"role": SHORT[role], "content": content} for role, content in messages],
              "enable_thinking": thinking, "variables": {**variables, **more}}
             for thinking, more in MODES.values() for messages in CONVERSATIONS.values()]
    noon = datetime.datetime.combine(DATE, datetime.time(12), datetime.timezone.utc)
    request = {"bos": specials[0], "eos": specials[1], "now": int(noon.timestamp()), "cases": cases}
    run = subprocess.run([str(program), str(file)], input=json.dumps(request), capture_output=True, text=True,
                         env=dict(os.environ, TZ="UTC"))
    if run.returncode != 0:
        sys.exit(f"render: {run.stderr[-600:]}")
    texts = json.loads(run.stdout)
    n = len(CONVERSATIONS)
    return {mode: texts[i * n:(i + 1) * n] for i, mode in enumerate(MODES)}


def gguf_template(source, path):
    sys.path.insert(0, str(source / "gguf-py"))
    from gguf import GGUFReader
    return GGUFReader(path).get_field("tokenizer.chat_template").contents()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", type=Path, required=True)
    parser.add_argument("--libraries", type=Path, required=True)
    parser.add_argument("--models", type=Path, required=True)
    parser.add_argument("--show")
    arguments = parser.parse_args()
    out = {"date": str(DATE), "conversations": {
        name: [{"role": SHORT[role], "content": content} for role, content in messages]
        for name, messages in CONVERSATIONS.items()}, "templates": {}}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        program = build(arguments.source.resolve(), arguments.libraries.resolve(), folder)
        templates = {name: ((arguments.source / f"models/templates/{name}.jinja").read_bytes().decode(), specials, None)
                     for name, specials in TEMPLATES.items()}
        for name, (file, specials) in GGUFS.items():
            templates[name] = gguf_template(arguments.source.resolve(), arguments.models / file), specials, file
        for name, (text, specials, file) in templates.items():
            modes = render(program, text, specials, folder)
            if arguments.show == name:
                print(json.dumps(modes, indent=1, ensure_ascii=False))
            entry = {"sha256": hashlib.sha256(text.encode()).hexdigest(), "bos": specials[0], "eos": specials[1]}
            if file:
                entry["gguf"] = file
            # A mode that renders everything as the default does is left out.
            entry.update({mode: [shortened(t) for t in texts] for mode, texts in modes.items()
                          if mode == "default" or texts != modes["default"]})
            out["templates"][name] = entry
    if not arguments.show:
        path = Path(__file__).with_name("renderings.json")
        path.write_text(json.dumps(out, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        print(f"{path}: {len(out['templates'])} templates, {len(CONVERSATIONS)} conversations")


if __name__ == "__main__":
    main()
