//! Datagrams that claim to be RTCP: none panics, reading stays inside, and a translation keeps length and form, and undone gives
//! back what was there where it touched nothing else.
#![no_main]

use libfuzzer_sys::fuzz_target;
use media::rtcp::{Part, Translation, parse, translate};

fuzz_target!(|bytes: &[u8]| {
    let Ok(compound) = parse(bytes) else { return };
    for part in compound {
        if let Part::Sender(_, _, blocks) | Part::Receiver(_, blocks) = part {
            assert!(blocks.count() <= 31);
        } else if let Part::Extended(Some(metrics)) = part {
            assert!((0.0..1.0).contains(&metrics.loss()) && (0.0..1.0).contains(&metrics.discarded()));
            assert!(metrics.r().is_none_or(|r| r <= 100));
            let (listening, conversation) = metrics.mos();
            assert!([listening, conversation].into_iter().flatten().all(|mos| (1.0..=5.0).contains(&mos)));
            let _ = (metrics.densities(), metrics.durations_ms(), metrics.delays_ms(), metrics.jitter_buffer_ms());
        }
    }
    let translation = Translation { from: 1, to: 2, sequence: 3, timestamp: 4 };
    let mut changed = bytes.to_vec();
    translate(&mut changed, Some(&translation), Some(&translation));
    assert_eq!(changed.len(), bytes.len());
    assert!(parse(&changed).is_ok());
    let mut same = bytes.to_vec();
    translate(&mut same, None, None);
    assert_eq!(same, bytes);
});
