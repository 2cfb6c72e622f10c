"""Synthesises music-on-hold.ulaw's samples: four slow chords of plucked tones, as raw 16-bit little-endian PCM at 8 kHz on standard output.

Everything wraps around at the end of the loop, decays included, so that the end joins the beginning.
"""
import math
import struct
import sys

RATE = 8000
BEAT = 0.5
CHORDS = [(57, 60, 64, 69, 72), (53, 57, 60, 65, 69), (48, 55, 60, 64, 67), (55, 59, 62, 67, 71)]  # Am F C G
PATTERN = [0, 2, 3, 4, 3, 2, 1, 2]
BARS = CHORDS + CHORDS[:2] + [(50, 57, 62, 65, 69), (52, 56, 59, 64, 68)]  # ... Dm E
TOTAL = int(len(BARS) * 4 * BEAT * RATE)
out = [0.0] * TOTAL


def pluck(start, note, level, decay):
    hz = 440 * 2 ** ((note - 69) / 12)
    for n in range(int(4 * decay * RATE)):
        t = n / RATE
        attack = min(1.0, t / 0.008)
        body = math.sin(math.tau * hz * t) + 0.35 * math.sin(math.tau * 2 * hz * t) * math.exp(-t * 3) + 0.12 * math.sin(math.tau * 3 * hz * t) * math.exp(-t * 6)
        out[(start + n) % TOTAL] += level * attack * math.exp(-t / decay) * body


for bar, chord in enumerate(BARS):
    for step, voice in enumerate(PATTERN):
        start = int((bar * 4 + step * 0.5) * BEAT * RATE)
        pluck(start, chord[voice], 0.30, 0.55)
    for note in chord[:3]:
        pluck(int(bar * 4 * BEAT * RATE), note, 0.10, 1.4)
    pluck(int(bar * 4 * BEAT * RATE), chord[0] - 12 if chord[0] > 52 else chord[0], 0.22, 1.0)

peak = max(abs(x) for x in out)
sys.stdout.buffer.write(b"".join(struct.pack("<h", round(x / peak * 9000)) for x in out))
