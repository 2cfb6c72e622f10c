//! L16: linear 16-bit samples in network byte order (RFC 3551 section 4.5.11).

/// Writes as many samples as `out` has room for, two bytes each; returns the bytes written.
pub fn encode(samples: &[i16], out: &mut [u8]) -> usize {
    let mut written = 0;
    for (sample, bytes) in samples.iter().zip(out.chunks_exact_mut(2)) {
        bytes.copy_from_slice(&sample.to_be_bytes());
        written += 2;
    }
    written
}

/// Reads as many whole samples as both slices hold; returns how many. An odd last byte is ignored.
pub fn decode(bytes: &[u8], out: &mut [i16]) -> usize {
    let mut read = 0;
    for (pair, sample) in bytes.chunks_exact(2).zip(out.iter_mut()) {
        *sample = match pair {
            [high, low] => i16::from_be_bytes([*high, *low]),
            _ => 0,
        };
        read += 1;
    }
    read
}
