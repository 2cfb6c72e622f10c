//! What a phone says of the sound that it hears: the VoIP metrics of an extended report (RFC 3611 section 4.7).

/// Type of the block (RFC 3611 section 4.7).
pub(super) const VOIP_METRICS: u8 = 7;
/// Its length in words, without the head.
pub(super) const VOIP_METRICS_WORDS: u16 = 8;
/// What stands where a score, a level or an echo is not known (RFC 3611 sections 4.7.4 and 4.7.5).
pub(super) const UNKNOWN: u8 = 127;

/// A VoIP metrics block as it came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VoipMetrics(pub(super) [u8; 32]);

impl VoipMetrics {
    /// The first such block of an XR packet, from behind the SSRC of its sender.
    pub(super) fn find(mut blocks: &[u8]) -> Option<VoipMetrics> {
        while let Some((head, rest)) = blocks.split_first_chunk::<4>() {
            let [kind, _, high, low] = *head;
            let words = u16::from_be_bytes([high, low]);
            let (body, rest) = rest.split_at_checked(4 * usize::from(words))?;
            if kind == VOIP_METRICS && words == VOIP_METRICS_WORDS {
                return body.first_chunk().map(|body| VoipMetrics(*body));
            }
            blocks = rest;
        }
        None
    }

    /// The block as four words, for a place that takes no bytes.
    pub(crate) fn words(&self) -> [u64; 4] {
        let (words, _) = self.0.as_chunks();
        words.try_into().map_or([0; 4], |words: [[u8; 8]; 4]| words.map(u64::from_be_bytes))
    }

    /// What [`Self::words`] gave.
    pub(crate) fn from_words(words: [u64; 4]) -> VoipMetrics {
        let mut bytes = [0; 32];
        for (place, word) in bytes.as_chunks_mut().0.iter_mut().zip(words) {
            *place = word.to_be_bytes();
        }
        VoipMetrics(bytes)
    }

    /// The source that is told of.
    pub fn ssrc(&self) -> u32 {
        let [a, b, c, d, ..] = self.0;
        u32::from_be_bytes([a, b, c, d])
    }

    /// Packets lost on the way, 0 to 1.
    pub fn loss(&self) -> f64 {
        let [_, _, _, _, loss, ..] = self.0;
        f64::from(loss) / 256.0
    }

    /// Packets that came too late to be heard, or too early, 0 to 1.
    pub fn discarded(&self) -> f64 {
        let [_, _, _, _, _, discarded, ..] = self.0;
        f64::from(discarded) / 256.0
    }

    /// Lost or discarded within bursts, and outside of them, 0 to 1.
    pub fn densities(&self) -> (f64, f64) {
        let [_, _, _, _, _, _, burst, gap, ..] = self.0;
        (f64::from(burst) / 256.0, f64::from(gap) / 256.0)
    }

    /// How long bursts and gaps last on average, ms.
    pub fn durations_ms(&self) -> (u16, u16) {
        (self.half(8), self.half(10))
    }

    /// Round trip as the phone measured it, and what the phone itself adds on top, ms; 0 where it does not know.
    pub fn delays_ms(&self) -> (u16, u16) {
        (self.half(12), self.half(14))
    }

    /// R, 0 to 100.
    pub fn r(&self) -> Option<u8> {
        let [.., r, _, _, _, _, _, _, _, _, _, _, _] = self.0;
        Some(r).filter(|r| *r <= 100)
    }

    /// MOS of listening and of conversation, 1 to 5.
    pub fn mos(&self) -> (Option<f64>, Option<f64>) {
        let [.., listening, conversation, _, _, _, _, _, _, _, _] = self.0;
        let score = |tenths: u8| (tenths != UNKNOWN && (10..=50).contains(&tenths)).then(|| f64::from(tenths) / 10.0);
        (score(listening), score(conversation))
    }

    /// How long sound waits in the phone's jitter buffer, ms.
    pub fn jitter_buffer_ms(&self) -> u16 {
        self.half(26)
    }

    fn half(&self, at: usize) -> u16 {
        self.0.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |half| u16::from_be_bytes(*half))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Part, parse};
    use super::*;

    /// XR with a receiver reference time block before the metrics.
    fn packet() -> Vec<u8> {
        let mut packet = vec![0x80, 207, 0, 13, 0, 0, 0, 1];
        packet.extend([4, 0, 0, 2, 9, 9, 9, 9, 9, 9, 9, 9]);
        packet.extend([7, 0, 0, 8, 0, 0, 0, 5, 26, 13, 128, 3]);
        packet.extend([0x01, 0x2c, 0x27, 0x10, 0, 90, 0, 60, 127, 127, 127, 16]);
        packet.extend([81, 127, 41, 40, 0x30, 0, 0, 45, 0, 80, 0, 120]);
        packet
    }

    #[test]
    fn the_metrics_of_a_phone_are_read_behind_other_blocks() {
        let packet = packet();
        let Some(Part::Extended(Some(metrics))) = parse(&packet).unwrap().next() else { panic!("no metrics") };
        assert_eq!(metrics.ssrc(), 5);
        assert_eq!((metrics.loss(), metrics.discarded()), (26.0 / 256.0, 13.0 / 256.0));
        assert_eq!(metrics.densities(), (0.5, 3.0 / 256.0));
        assert_eq!((metrics.durations_ms(), metrics.delays_ms()), ((300, 10_000), (90, 60)));
        assert_eq!((metrics.r(), metrics.mos(), metrics.jitter_buffer_ms()), (Some(81), (Some(4.1), Some(4.0)), 45));
        assert_eq!(VoipMetrics::from_words(metrics.words()), metrics);
    }

    #[test]
    fn scores_that_a_phone_does_not_know_are_none() {
        let mut packet = packet();
        packet[44..48].fill(127);
        let Some(Part::Extended(Some(metrics))) = parse(&packet).unwrap().next() else { panic!("no metrics") };
        assert_eq!((metrics.r(), metrics.mos()), (None, (None, None)));
    }

    #[test]
    fn a_block_that_passes_the_end_of_its_packet_is_not_read() {
        let mut packet = packet();
        packet[22] = 0xff;
        assert_eq!(parse(&packet).unwrap().next(), Some(Part::Extended(None)));
        packet[11] = 0xff;
        assert_eq!(parse(&packet).unwrap().next(), Some(Part::Extended(None)));
    }
}
