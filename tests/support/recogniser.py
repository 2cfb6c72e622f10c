"""A recogniser for `[transcripts]`: PocketSphinx with the English model that it brings. WAV of 16 bits and 16 kHz comes in, JSON goes out."""

import json
import math
import sys
import wave

from pocketsphinx import Decoder

with wave.open(sys.stdin.buffer, "rb") as sound:
    rate, samples = sound.getframerate(), sound.readframes(10**9)
decoder = Decoder(samprate=rate, loglevel="FATAL")
decoder.start_utt()
decoder.process_raw(samples, full_utt=True)
decoder.end_utt()
# Frames of 10 ms; silence and noises stand in brackets, and a second way to say a word in its name.
words = [
    {"word": segment.word.split("(")[0], "from_ms": segment.start_frame * 10, "to_ms": (segment.end_frame + 1) * 10,
     "confidence": min(1.0, max(0.0, segment.prob))}
    for segment in decoder.seg() or []
    if segment.word[0] not in "<["
]
hypothesis = decoder.hyp()
print(json.dumps({
    "text": hypothesis.hypstr if hypothesis else "",
    # That of the whole shrinks with its length: that of a word in the mean.
    "confidence": math.exp(sum(math.log(max(word["confidence"], 1e-6)) for word in words) / len(words)) if words else 0.0,
    "words": words,
}))
