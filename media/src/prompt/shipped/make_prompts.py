#!/usr/bin/env python3
"""Makes the prompts of one language: reads LANG.tsv (name, text), has a synthesiser of Debian speak each text, and writes
LANG.ulaw (all clips behind each other, raw mu-law at 8 kHz) and LANG.index (name and samples of each, in order).

    apt-get install flite espeak-ng sox
    python3 make_prompts.py en it

Only for development: the program reads what this has written.
"""
import subprocess, sys, tempfile, pathlib

HERE = pathlib.Path(__file__).parent
SPEAK = {
    "en": lambda text, wav: ["flite", "-voice", "slt", "-t", text, "-o", wav],
    "it": lambda text, wav: ["espeak-ng", "-v", "it", "-s", "150", "-p", "45", "-w", wav, text],
}
# Silence around a clip is cut to this much, so that clips join to speech; a phrase keeps a breath behind it.
BREATH_S = {"word": 0.02, "phrase": 0.15}

def clip(language, text):
    with tempfile.TemporaryDirectory() as folder:
        wav = folder + "/a.wav"
        subprocess.run(SPEAK[language](text, wav), check=True, capture_output=True)
        breath = BREATH_S["phrase" if " " in text.strip() else "word"]
        edges = ["silence", "1", "0.005", "0.2%", "reverse"]
        made = subprocess.run(
            ["sox", "-D", wav, "-t", "raw", "-e", "u-law", "-r", "8000", "-c", "1", "-", "norm", "-3", *edges, *edges,
             "norm", "-6", "pad", "0.01", str(breath)], check=True, capture_output=True)
        return made.stdout

for language in sys.argv[1:]:
    rows = [line.split("\t") for line in (HERE / f"{language}.tsv").read_text().splitlines() if line]
    clips = [(name, clip(language, text)) for name, text in rows]
    (HERE / f"{language}.ulaw").write_bytes(b"".join(sound for _, sound in clips))
    (HERE / f"{language}.index").write_text("".join(f"{name}\t{len(sound)}\n" for name, sound in clips))
    print(language, len(clips), "clips,", sum(len(sound) for _, sound in clips) / 8000, "s")
