//! No text makes the reader panic or leaves it without an answer.

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

use super::*;

#[test]
fn mutations_of_the_lab_never_panic_and_give_a_configuration_or_mistakes_with_places() {
    const ROUNDS: u32 = 1_000;
    let lab = include_str!("../lab.toml");
    let pieces = [
        "[",
        "]",
        "[[",
        "\"",
        "'''",
        "=",
        "\n",
        "#",
        "{",
        "}",
        ",",
        "\0",
        "é",
        "-",
        "9",
        "[[user]]\n",
        "[sip]\n",
        "\u{202e}",
        ".",
    ];
    let (mut right, mut wrong) = (0, 0);
    for seed in 0..ROUNDS {
        let mut random = StdRng::seed_from_u64(seed.into());
        let mut chars: Vec<char> = lab.chars().collect();
        for _ in 0..random.random_range(1..6) {
            let at = random.random_range(0..chars.len());
            let until = (at + random.random_range(0..12)).min(chars.len());
            match random.random_range(0..3) {
                0 => drop(chars.drain(at..until)),
                1 => {
                    let piece = pieces[random.random_range(0..pieces.len())];
                    drop(chars.splice(at..at, piece.chars()));
                }
                _ => {
                    let copy: Vec<char> = chars[at..until].to_vec();
                    let to = random.random_range(0..chars.len());
                    drop(chars.splice(to..to, copy));
                }
            }
        }
        let text: String = chars.into_iter().collect();
        match read_text(&text) {
            Ok(_) => right += 1,
            Err(errors) => {
                wrong += 1;
                assert!(!errors.is_empty(), "seed {seed} has no configuration and no mistake");
                assert!(
                    errors.iter().all(|error| error.line >= 1 && error.column >= 1 && !error.remedy.is_empty()),
                    "seed {seed}: {errors:?}"
                );
                render_text(&errors);
            }
        }
    }
    assert!(right > 0 && wrong > right, "{right} right, {wrong} wrong: the mutations do not try both ways");
}
