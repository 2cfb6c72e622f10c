"""What is heard in 16-bit samples: the strongest frequency and the level. Plain Python, so that a phone needs no more."""

import cmath
import math

CLOCK_RATE_HZ = 8000
# A sine of full scale in mu-law is +3.17 dBm0 (ITU-T G.711 section 2, table 2a), and decodes to peaks of 32124.
FULL_SCALE_PEAK = 32124.0
FULL_SCALE_DBM0 = 3.17
SILENCE_DBM0 = -120.0


def spectrum(samples):
    """The discrete Fourier transform of real or complex samples, whose count is a power of two."""
    count = len(samples)
    values = [complex(0)] * count
    bits = count.bit_length() - 1
    for index, sample in enumerate(samples):
        values[int(format(index, f"0{bits}b")[::-1], 2)] = complex(sample)
    size = 2
    while size <= count:
        half = size // 2
        turns = [cmath.exp(-2j * math.pi * k / size) for k in range(half)]
        for start in range(0, count, size):
            for k in range(half):
                low = values[start + k]
                high = values[start + k + half] * turns[k]
                values[start + k] = low + high
                values[start + k + half] = low - high
        size *= 2
    return values


def measure(samples):
    """Dominant frequency (Hz, 0 for silence), its share of all power (0 to 1) and the level (dBm0) of 16-bit samples."""
    count = 1 << (len(samples).bit_length() - 1)
    samples = samples[-count:]
    power = sum(s * s for s in samples) / count
    # A Hann window, so that a tone between two bins does not leak over the whole band.
    window = [0.5 - 0.5 * math.cos(2 * math.pi * n / count) for n in range(count)]
    powers = [abs(v) ** 2 for v in spectrum([s * w for s, w in zip(samples, window)])[1 : count // 2]]
    # Less than one step of 16 bits, or nothing that swings.
    if power < 1.0 or sum(powers) == 0.0:
        return {"hz": 0.0, "purity": 0.0, "dbm0": SILENCE_DBM0}
    peak = max(range(len(powers)), key=powers.__getitem__)
    near = powers[max(0, peak - 2) : peak + 3]
    # The centre of gravity of the peak's neighbourhood is finer than a bin.
    place = sum(p * (max(0, peak - 2) + i) for i, p in enumerate(near)) / sum(near)
    level = 10 * math.log10(power / (FULL_SCALE_PEAK**2 / 2)) + FULL_SCALE_DBM0
    return {
        "hz": round((place + 1) * CLOCK_RATE_HZ / count, 1),
        "purity": round(sum(near) / sum(powers), 4),
        "dbm0": round(level, 2),
    }
