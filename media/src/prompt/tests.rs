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

#[test]
fn every_prompt_that_ships_is_audible_and_all_sound_belongs_to_one() {
    for language in Language::ALL {
        let mut samples = 0;
        for (name, text) in Prompts::texts(language) {
            let audio = Prompts::shipped().speak(language, &[Say::Prompt(name)]);
            assert!(audio.samples().len() > 1600 && rms(audio.samples()) > 300.0, "{name}: {text}");
            samples += audio.samples().len();
        }
        let bytes: usize = match language {
            Language::English => include_bytes!("shipped/en.ulaw").len(),
            Language::Italian => include_bytes!("shipped/it.ulaw").len(),
        };
        assert_eq!(samples, bytes);
    }
}

#[test]
fn a_sentence_is_its_prompts_behind_each_other_without_a_gap() {
    let set = Prompts::shipped();
    let clip = |name| set.speak(Language::English, &[Say::Prompt(name)]).samples().to_vec();
    let sentence = set.speak(Language::English, &[Say::Messages { new: 2, saved: 0 }, Say::Prompt("goodbye")]);
    assert_eq!(sentence.samples(), ["you-have", "number-2", "new-messages", "goodbye"].map(clip).concat());
}

#[test]
fn a_folder_replaces_prompts_and_what_cannot_be_used_is_told_and_stays_as_shipped() {
    use crate::wav::{Encoding, Format};
    let folder = tempfile::tempdir().unwrap();
    let english = folder.path().join("en");
    std::fs::create_dir(&english).unwrap();
    let good = Format { encoding: Encoding::Linear, rate_hz: 8000, channels: 1 };
    let wide = Format { rate_hz: 44_100, ..good };
    let write = |name: &str, bytes: &[u8]| std::fs::write(english.join(name), bytes).unwrap();
    write("goodbye.wav", &[&good.header(Some(4))[..], &[1, 0, 2, 0]].concat());
    write("and.wav", &[&wide.header(Some(4))[..], &[1, 0, 2, 0]].concat());
    write("oh.wav", b"no sound");
    write("hello.wav", &good.header(Some(0)));
    write("notes.txt", b"are passed over");
    let (set, mut bad) = Prompts::with_folder(folder.path());
    assert_eq!(set.speak(Language::English, &[Say::Prompt("goodbye")]).samples(), [1, 2]);
    for name in ["and", "oh"] {
        let one = |set: &Prompts| set.speak(Language::English, &[Say::Prompt(name)]);
        assert_eq!(one(&set), one(&Prompts::shipped()));
    }
    bad.sort_by(|left, right| left.path.cmp(&right.path));
    let told: Vec<String> = bad.iter().map(ToString::to_string).collect();
    assert!(told[0].contains("and.wav: 44100 Hz and 1 channels, but a prompt has 8000 Hz and one"), "{told:?}");
    assert!(told[1].contains("hello.wav: no prompt has this name"), "{told:?}");
    assert!(told[2].ends_with("oh.wav: not a WAV file"), "{told:?}");
    assert_eq!(told.len(), 3);
    let (_, bad) = Prompts::with_folder(&folder.path().join("none"));
    assert_eq!(bad.len(), 1);
}
