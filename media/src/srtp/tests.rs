use super::cipher::{Cipher, Trailer, counter_iv};
use super::window::Sources;
use super::*;
use crate::rtp::Header;
use proptest::prelude::*;
use std::sync::Arc;

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

fn master(suite: Suite) -> MasterKey {
    let bytes: Vec<u8> = (0..suite.key_bytes() + suite.salt_bytes()).map(|n| (n * 7 + 3) as u8).collect();
    MasterKey::new(suite, &bytes, &[]).unwrap()
}

fn key(suite: Suite) -> Arc<Key> {
    Arc::new(Key::new(master(suite)))
}

/// The two ends of one direction.
fn pair(suite: Suite) -> (Sealer, Opener) {
    (Sealer::new(&key(suite)).unwrap(), Opener::new(&key(suite)).unwrap())
}

fn packet(ssrc: u32, sequence: u16, payload: &[u8]) -> Vec<u8> {
    let header = Header {
        payload_type: 0,
        marker: false,
        sequence,
        timestamp: u32::from(sequence) * 160,
        ssrc,
        payload_start: 12,
        payload_end: 12 + payload.len(),
    };
    let mut head = [0; 12];
    header.write(&mut head);
    [&head[..], payload].concat()
}

fn report(ssrc: u32) -> Vec<u8> {
    [&[0x80, 201, 0, 1][..], &ssrc.to_be_bytes(), &[0x80, 203, 0, 1], &ssrc.to_be_bytes()].concat()
}

fn sealed(sealer: &mut Sealer, packet: &[u8]) -> Vec<u8> {
    let mut buffer = packet.to_vec();
    buffer.resize(packet.len() + OVERHEAD_BYTES_MAX, 0);
    let length = sealer.rtp(&mut buffer, packet.len()).unwrap();
    buffer.truncate(length);
    buffer
}

fn sealed_report(sealer: &mut Sealer, packet: &[u8]) -> Vec<u8> {
    let mut buffer = packet.to_vec();
    buffer.resize(packet.len() + OVERHEAD_BYTES_MAX, 0);
    let length = sealer.rtcp(&mut buffer, packet.len()).unwrap();
    buffer.truncate(length);
    buffer
}

fn opened(opener: &mut Opener, packet: &[u8]) -> Result<Vec<u8>, Refused> {
    let mut buffer = packet.to_vec();
    let length = opener.rtp(&mut buffer)?;
    buffer.truncate(length);
    Ok(buffer)
}

fn opened_report(opener: &mut Opener, packet: &[u8]) -> Result<Vec<u8>, Refused> {
    let mut buffer = packet.to_vec();
    let length = opener.rtcp(&mut buffer)?;
    buffer.truncate(length);
    Ok(buffer)
}

#[test]
fn the_keystream_of_rfc_3711_b_2_comes_out() {
    use aes::cipher::generic_array::GenericArray;
    use aes::cipher::{InnerIvInit, KeyInit, StreamCipherCore};
    let aes = aes::Aes128Enc::new(GenericArray::from_slice(&hex("2B7E151628AED2A6ABF7158809CF4F3C")));
    let salt: [u8; 14] = hex("F0F1F2F3F4F5F6F7F8F9FAFBFCFD").try_into().unwrap();
    let mut stream = vec![0; 16 * 0xff02];
    let iv = counter_iv(&salt, 0, 0);
    ctr::CtrCore::<_, ctr::flavors::Ctr128BE>::inner_iv_init(&aes, &iv.into())
        .apply_keystream_partial(stream.as_mut_slice().into());
    let expected = "E03EAD0935C95E80E166B16DD92B4EB4 D23513162B02D0F72A43A2FE4A5F97AB 41E95B3BB0A2E8DD477901E4FCA894C0";
    assert_eq!(stream[..48], hex(expected));
    let expected = "EC8CDF7398607CB0F2D21675EA9EA1E4 362B7C3C6773516318A077D7FC5073AE 6A2CC3787889374FBEB4C81B17BA6C44";
    assert_eq!(stream[16 * 0xfeff..], hex(expected));
}

#[test]
fn the_session_keys_of_rfc_3711_b_3_are_derived() {
    let master = MasterKey::new(
        Suite::AesCm128Sha1_80,
        &hex("E1F97A0D3E018BE0D64FA32C06DE4139 0EC675AD498AFEEBB6960B3AABE6"),
        &[],
    )
    .unwrap();
    let derived = |label, bytes| {
        let mut out = vec![0; bytes];
        master.derive(label, &mut out);
        out
    };
    assert_eq!(derived(0, 16), hex("C61E7A93744F39EE10734AFE3FF7A087"));
    assert_eq!(derived(2, 14), hex("30CBBC08863D8C85D49DB34A9AE1"));
    assert_eq!(derived(1, 20), hex("CEBE321F6FF7716B6FD4AB49AF256A156D38BAA4"));
}

#[test]
fn the_session_keys_of_rfc_6188_7_are_derived() {
    let master = MasterKey::new(
        Suite::AesCm256Sha1_80,
        &hex("f0f04914b513f2763a1b1fa130f10e2998f6f6e43e4309d1e622a0e332b9f1b6 3b04803de51ee7c96423ab5b78d2"),
        &[],
    )
    .unwrap();
    let derived = |label, bytes| {
        let mut out = vec![0; bytes];
        master.derive(label, &mut out);
        out
    };
    assert_eq!(derived(0, 32), hex("5ba1064e30ec51613cad926c5a28ef731ec7fb397f70a960653caf06554cd8c4"));
    assert_eq!(derived(2, 14), hex("fa31791685ca444a9e07c6c64e93"));
    assert_eq!(derived(1, 20), hex("fd9c32d39ed5fbb5a9dc96b30818454d1313dc05"));
}

/// Session key and salt as RFC 7714 gives them, without derivation.
fn gcm(bytes: usize) -> Cipher {
    use ring::aead::{AES_128_GCM, AES_256_GCM, LessSafeKey, UnboundKey};
    let key: Vec<u8> = (0..u8::try_from(bytes).unwrap()).collect();
    let algorithm = if bytes == 16 { &AES_128_GCM } else { &AES_256_GCM };
    let mut salt = [0; 14];
    salt[..12].copy_from_slice(&hex("517569642070726f2071756f"));
    Cipher::Gcm { key: LessSafeKey::new(UnboundKey::new(algorithm, &key).unwrap()), salt }
}

#[test]
fn the_rtp_packets_of_rfc_7714_section_16_come_out() {
    let plain = hex(
        "8040f17b 8041f8d3 5501a0b2 47616c6c 69612065 7374206f 6d6e6973 20646976 69736120 696e2070 61727465 73207472 \
         6573",
    );
    let cases = [
        (
            16,
            "8040f17b 8041f8d3 5501a0b2 f24de3a3 fb34de6c acba861c 9d7e4bca be633bd5 0d294e6f 42a5f47a 51c7d19b 36de3adf \
             8833899d 7f27beb1 6a9152cf 765ee439 0cce",
        ),
        (
            32,
            "8040f17b 8041f8d3 5501a0b2 32b1de78 a822fe12 ef9f78fa 332e33aa b1801238 9a58e2f3 b50b2a02 76ffae0f 1ba63799 \
             b87b7aa3 db36dfff d6b0f9bb 7878d7a7 6c13",
        ),
    ];
    for (bytes, expected) in cases {
        let (cipher, mut packet) = (gcm(bytes), plain.clone());
        let trailer = Trailer::Cycles(0);
        let tag = cipher.seal(&mut packet, 12, 0x5501_a0b2, 0xf17b, trailer).unwrap();
        assert_eq!([&packet[..], &tag].concat(), hex(expected));
        assert!(cipher.open(&mut packet, 12, &tag, 0x5501_a0b2, 0xf17b, trailer).is_ok());
        assert_eq!(packet, plain);
    }
}

#[test]
fn the_rtcp_packet_of_rfc_7714_section_17_comes_out() {
    let plain = hex(
        "81c8000d 4d617273 4e545031 4e545032 52545020 0000042a 0000e930 4c756e61 deadbeef deadbeef deadbeef deadbeef \
         deadbeef",
    );
    let expected = hex(
        "81c8000d 4d617273 63e94885 dcdab67c a727d766 2f6b7e99 7ff5c0f7 6c06f32d c676a5f1 730d6fda 4ce09b46 86303ded \
         0bb9275b c84aa458 96cf4d2f c5abf872 45d9eade",
    );
    let (cipher, mut packet) = (gcm(16), plain.clone());
    let trailer = Trailer::Report(0x8000_05d4);
    let tag = cipher.seal(&mut packet, 8, 0x4d61_7273, 0x5d4, trailer).unwrap();
    assert_eq!([&packet[..], &tag].concat(), expected);
}

#[test]
fn what_is_sealed_opens_and_says_nothing_before() {
    for suite in Suite::ALL {
        let (mut sealer, mut opener) = pair(suite);
        let plain = packet(7, 1, &[0x55; 160]);
        let secret = sealed(&mut sealer, &plain);
        assert_eq!(secret.len(), plain.len() + suite.tag_bytes());
        assert_eq!(secret[..12], plain[..12]);
        assert_ne!(secret[12..172], plain[12..]);
        assert_eq!(opened(&mut opener, &secret).unwrap(), plain);
        assert_eq!(opened(&mut opener, &secret), Err(Refused::Replayed));
        let plain = report(7);
        let secret = sealed_report(&mut sealer, &plain);
        assert_eq!(secret.len(), plain.len() + 4 + suite.rtcp_tag_bytes());
        assert_eq!(opened_report(&mut opener, &secret).unwrap(), plain);
        assert_eq!(opened_report(&mut opener, &secret), Err(Refused::Replayed));
    }
}

#[test]
fn a_packet_with_one_bit_changed_is_forged_wherever_it_is() {
    for suite in Suite::ALL {
        let (mut sealer, mut opener) = pair(suite);
        let secret = sealed(&mut sealer, &packet(7, 1, &[9; 20]));
        for bit in 0..secret.len() * 8 {
            let mut changed = secret.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(opened(&mut opener, &changed).is_err(), "{suite:?} bit {bit}");
        }
        let report = sealed_report(&mut sealer, &report(7));
        for bit in 0..report.len() * 8 {
            let mut changed = report.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(opened_report(&mut opener, &changed), Err(Refused::Forged), "{suite:?} bit {bit}");
        }
        // No forgery has moved anything.
        assert!(opened(&mut opener, &secret).is_ok() && opened_report(&mut opener, &report).is_ok());
    }
}

#[test]
fn forgers_take_no_room_and_move_no_window() {
    let (mut sealer, mut opener) = pair(Suite::AeadAes128Gcm);
    for n in 0..1000u16 {
        let forged = packet(u32::from(n), n.wrapping_mul(977), &[0; 176]);
        assert_eq!(opened(&mut opener, &forged), Err(Refused::Forged));
    }
    for ssrc in 0..u32::try_from(SOURCES_MAX).unwrap() {
        assert!(opened(&mut opener, &sealed(&mut sealer, &packet(ssrc, 5, &[1; 20]))).is_ok());
    }
    let mut one_too_many = packet(99, 5, &[1; 20]);
    one_too_many.resize(100, 0);
    assert_eq!(sealer.rtp(&mut one_too_many, 32), Err(Refused::Exhausted));
}

#[test]
fn an_index_is_never_sealed_twice() {
    let (mut sealer, _) = pair(Suite::AesCm128Sha1_80);
    let mut seal = |sequence, payload| {
        let mut buffer = packet(7, sequence, &[payload; 20]);
        buffer.resize(100, 0);
        sealer.rtp(&mut buffer, 32).map(|_| ())
    };
    assert_eq!(seal(100, 1), Ok(()));
    assert_eq!(seal(100, 2), Err(Refused::Replayed));
    assert_eq!(seal(163, 3), Ok(()));
    assert_eq!(seal(101, 4), Ok(()), "late, and new");
    assert_eq!(seal(99, 5), Err(Refused::Replayed), "too old to tell");
    assert_eq!(seal(65_530, 6), Err(Refused::Replayed), "before the first");
}

fn near_the_end(suite: Suite, newest: u64, packets: u64, reports: u32) -> Arc<Key> {
    Arc::new(Key::new(master(suite)).after(Sources::after(7, newest, packets, reports)))
}

#[test]
fn a_key_seals_its_last_index_and_no_more_though_numbers_go_round() {
    for suite in Suite::ALL {
        let last = (1 << 48) - 1;
        let (ours, theirs) = (near_the_end(suite, last - 1, 9, 0), near_the_end(suite, last - 1, 9, 0));
        let (mut sealer, mut opener) = (Sealer::new(&ours).unwrap(), Opener::new(&theirs).unwrap());
        let plain = packet(7, 65_535, &[1; 20]);
        assert_eq!(opened(&mut opener, &sealed(&mut sealer, &plain)).unwrap(), plain);
        let mut next = packet(7, 0, &[2; 20]);
        next.resize(100, 0);
        assert_eq!(sealer.rtp(&mut next, 32), Err(Refused::Exhausted), "{suite:?}");
        assert_eq!(opener.rtp(&mut next), Err(Refused::Exhausted), "{suite:?}");
    }
}

#[test]
fn a_key_protects_2_48_packets_and_2_31_reports_of_all_its_sources() {
    let suite = Suite::AesCm128Sha1_80;
    let key = near_the_end(suite, 100, (1 << 48) - 1, 0);
    let mut sealer = Sealer::new(&key).unwrap();
    assert_eq!(key.wear(), Wear::Worn);
    sealed(&mut sealer, &packet(8, 1, &[1; 20]));
    assert_eq!(key.wear(), Wear::Spent);
    let mut next = packet(9, 1, &[1; 20]);
    next.resize(100, 0);
    assert_eq!(sealer.rtp(&mut next, 32), Err(Refused::Exhausted));
    assert_eq!(next[..32], packet(9, 1, &[1; 20]), "nothing of it was touched");

    let key = near_the_end(suite, 100, 0, (1 << 31) - 1);
    let mut sealer = Sealer::new(&key).unwrap();
    let mut opener = Opener::new(&near_the_end(suite, 100, 0, (1 << 31) - 1)).unwrap();
    let plain = report(7);
    assert_eq!(opened_report(&mut opener, &sealed_report(&mut sealer, &plain)).unwrap(), plain);
    assert_eq!((key.wear(), opener.key().wear()), (Wear::Spent, Wear::Spent));
    let mut next = report(7);
    next.resize(100, 0);
    assert_eq!(sealer.rtcp(&mut next, plain.len()), Err(Refused::Exhausted));
}

#[test]
fn a_lifetime_ends_what_is_sent_and_only_tells_of_what_comes() {
    let key = |packets| Arc::new(Key::with_lifetime(master(Suite::AeadAes128Gcm), packets));
    let (ours, theirs, longer) = (key(1 << 10), key(1 << 10), key(1 << 20));
    let (mut sealer, mut opener) = (Sealer::new(&ours).unwrap(), Opener::new(&theirs).unwrap());
    let mut other = Sealer::new(&longer).unwrap();
    for n in 0..1024u16 {
        assert_eq!(ours.wear(), if n < 768 { Wear::Good } else { Wear::Worn }, "{n}");
        assert_eq!(ours.worn_since_asked(), (n == 768).then_some(Wear::Worn), "told once");
        let plain = packet(7, n, &[1; 20]);
        assert_eq!(opened(&mut opener, &sealed(&mut sealer, &plain)).unwrap(), plain);
        sealed(&mut other, &plain);
    }
    assert_eq!((ours.wear(), theirs.wear(), longer.wear()), (Wear::Spent, Wear::Spent, Wear::Good));
    let plain = packet(7, 1024, &[1; 20]);
    let mut next = plain.clone();
    next.resize(100, 0);
    assert_eq!(sealer.rtp(&mut next, 32), Err(Refused::Exhausted));
    // Who lives on is heard.
    assert_eq!(opened(&mut opener, &sealed(&mut other, &plain)).unwrap(), plain);
    // What no key may outlive is not outlived by being announced.
    let endless = Arc::new(Key::with_lifetime(master(Suite::AeadAes128Gcm), u64::MAX));
    assert_eq!((endless.packets_max, endless.reports_max), (1 << 48, 1 << 31));
}

#[test]
fn who_takes_a_key_over_goes_on_where_the_last_one_was() {
    for suite in Suite::ALL {
        let (ours, theirs) = (key(suite), key(suite));
        let mut kept = None;
        // Past the roll-over, with a new worker for every packet.
        for n in 65_000..66_000u32 {
            let plain = packet(7, n as u16, &n.to_be_bytes());
            let secret = sealed(&mut Sealer::new(&ours).unwrap(), &plain);
            assert_eq!(opened(&mut Opener::new(&theirs).unwrap(), &secret).unwrap(), plain);
            kept = Some(secret);
        }
        assert_eq!(opened(&mut Opener::new(&theirs).unwrap(), &kept.unwrap()), Err(Refused::Replayed));
    }
}

#[test]
fn an_identifier_is_read_where_it_was_agreed() {
    for suite in Suite::ALL {
        let bytes = master(suite).bytes_for_tests();
        let with = MasterKey::new(suite, &bytes, &[0, 0, 0, 9]).unwrap();
        let mut opener = Opener::new(&Arc::new(Key::new(with))).unwrap();
        let (mut sealer, _) = pair(suite);
        let plain = packet(7, 1, &[3; 40]);
        let secret = sealed(&mut sealer, &plain);
        assert_eq!(opened(&mut opener, &secret), Err(Refused::Forged));
        let tag = if suite.is_aead() { 0 } else { suite.tag_bytes() };
        let marked = |mki: &[u8]| {
            let (front, back) = secret.split_at(secret.len() - tag);
            [front, mki, back].concat()
        };
        assert_eq!(opened(&mut opener, &marked(&[0, 0, 0, 8])), Err(Refused::Forged));
        assert_eq!(opened(&mut opener, &marked(&[0, 0, 0, 9])).unwrap(), plain);
        let plain = report(7);
        let secret = sealed_report(&mut sealer, &plain);
        let tag = if suite.is_aead() { 0 } else { suite.rtcp_tag_bytes() };
        let (front, back) = secret.split_at(secret.len() - tag);
        assert_eq!(opened_report(&mut opener, &[front, &[0, 0, 0, 9], back].concat()).unwrap(), plain);
    }
}

#[test]
fn rtcp_that_is_not_encrypted_is_refused() {
    let (mut sealer, mut opener) = pair(Suite::AesCm128Sha1_80);
    let mut secret = sealed_report(&mut sealer, &report(7));
    let flag = secret.len() - 14;
    secret[flag] &= 0x7f;
    assert_eq!(opened_report(&mut opener, &secret), Err(Refused::Forged));
}

#[test]
fn a_key_shows_nothing_of_itself() {
    assert_eq!(format!("{:?}", key(Suite::AeadAes256Gcm)), "MasterKey(AEAD_AES_256_GCM)");
    assert!(MasterKey::new(Suite::AeadAes256Gcm, &[0; 46], &[]).is_err());
    assert!(MasterKey::new(Suite::AeadAes256Gcm, &[0; 44], &[0; 9]).is_err());
}

/// A network that loses, doubles and reorders, by a seed.
struct Network(u64);

impl Network {
    fn random(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % below
    }
}

#[test]
fn pairs_agree_over_a_network_that_loses_doubles_and_reorders_past_two_roll_overs() {
    for (suite, seed) in Suite::ALL.into_iter().zip(1..) {
        let (mut sealer, mut opener) = pair(suite);
        let mut network = Network(seed);
        let mut way: Vec<(u32, Vec<u8>)> = Vec::new();
        let (mut heard, mut lost) = (std::collections::HashSet::new(), 0);
        for n in 30_000..150_000u32 {
            if network.random(10) == 0 {
                lost += 1;
                // What is lost was sealed all the same.
                sealed(&mut sealer, &packet(1, n as u16, &n.to_be_bytes()));
                continue;
            }
            let secret = sealed(&mut sealer, &packet(1, n as u16, &n.to_be_bytes()));
            if network.random(10) == 0 {
                way.push((n, secret.clone()));
            }
            way.push((n, secret));
            while way.len() > 5 {
                let at = usize::try_from(network.random(5)).unwrap();
                let (n, secret) = way.swap_remove(at);
                match opened(&mut opener, &secret) {
                    Ok(plain) => {
                        assert_eq!(plain[12..], n.to_be_bytes());
                        assert!(heard.insert(n), "{n} was heard twice");
                    }
                    Err(why) => assert_eq!(why, Refused::Replayed, "{n}"),
                }
            }
        }
        // Of what was not lost hardly anything is so late that nobody remembers.
        assert!(heard.len() + lost > 119_900, "{suite:?}: {} of {} heard", heard.len(), 120_000 - lost);
    }
}

#[test]
fn several_sources_keep_their_own_count() {
    let (mut sealer, mut opener) = pair(Suite::AesCm256Sha1_32);
    for n in 60_000..70_000u32 {
        for ssrc in 0..4 {
            let plain = packet(ssrc, (n + ssrc * 10_000) as u16, &[1; 20]);
            assert_eq!(opened(&mut opener, &sealed(&mut sealer, &plain)).unwrap(), plain);
        }
    }
}

fn profile(suite: Suite) -> Option<webrtc_srtp::protection_profile::ProtectionProfile> {
    use webrtc_srtp::protection_profile::ProtectionProfile as Profile;
    match suite {
        Suite::AesCm128Sha1_80 => Some(Profile::Aes128CmHmacSha1_80),
        Suite::AesCm128Sha1_32 => Some(Profile::Aes128CmHmacSha1_32),
        Suite::AeadAes128Gcm => Some(Profile::AeadAes128Gcm),
        Suite::AeadAes256Gcm => Some(Profile::AeadAes256Gcm),
        // The oracle does not know AES-256 in counter mode.
        _ => None,
    }
}

#[test]
fn another_implementation_opens_what_we_seal_and_we_what_it_seals() {
    for (suite, profile) in Suite::ALL.into_iter().filter_map(|suite| Some((suite, profile(suite)?))) {
        let bytes = master(suite).bytes_for_tests();
        let (master_key, salt) = bytes.split_at(suite.key_bytes());
        let oracle = || webrtc_srtp::context::Context::new(master_key, salt, profile, None, None).unwrap();
        let (mut theirs_in, mut theirs_out) = (oracle(), oracle());
        let (mut sealer, mut opener) = pair(suite);
        for n in 65_400..65_700u32 {
            let plain = packet(0xcafe, n as u16, &[n as u8; 33]);
            let ours = sealed(&mut sealer, &plain);
            assert_eq!(theirs_in.decrypt_rtp(&ours).unwrap()[..], plain[..], "{suite:?} {n}");
            let theirs = theirs_out.encrypt_rtp(&plain).unwrap();
            assert_eq!(theirs[..], ours[..], "{suite:?} {n}");
            assert_eq!(opened(&mut opener, &theirs).unwrap(), plain);
            let plain = report(0xcafe);
            let ours = sealed_report(&mut sealer, &plain);
            assert_eq!(theirs_in.decrypt_rtcp(&ours).unwrap()[..], plain[..], "{suite:?} {n}");
            let theirs = theirs_out.encrypt_rtcp(&plain).unwrap();
            assert_eq!(opened_report(&mut opener, &theirs).unwrap(), plain);
        }
    }
}

proptest! {
    #[test]
    fn no_bytes_open_and_none_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..200), at in 0..6usize) {
        let (_, mut opener) = pair(Suite::ALL[at]);
        prop_assert!(opener.rtp(&mut bytes.clone()).is_err());
        prop_assert!(opener.rtcp(&mut bytes).is_err());
    }
}
