use super::*;

fn rms(samples: &[i16]) -> f64 {
    (samples.iter().map(|sample| f64::from(*sample).powi(2)).sum::<f64>() / samples.len() as f64).sqrt()
}

#[test]
fn the_announcement_is_audible_speech_of_a_few_seconds() {
    let audio = announcement();
    assert!((4.0..15.0).contains(&audio.length().as_secs_f64()), "{:?}", audio.length());
    assert!(rms(audio.samples()) > 500.0);
}

#[test]
fn the_music_loops_without_a_click_and_is_never_silent() {
    let audio = music_on_hold();
    assert!((12.0..=20.0).contains(&audio.length().as_secs_f64()), "{:?}", audio.length());
    audio.samples().chunks(1600).for_each(|block| assert!(rms(block) > 200.0));
    let step = |left: i16, right: i16| (i32::from(left) - i32::from(right)).abs();
    let within = audio.samples().windows(2).map(|pair| step(pair[0], pair[1])).max().unwrap();
    assert!(step(audio.samples()[0], *audio.samples().last().unwrap()) <= within);
}
