//! The envelope of every stored value: version, payload, CRC32C. sled 0.34 takes some damage for the torn tail of a
//! crash and says nothing, so each value proves itself.

use crate::StoreError;
use crate::engine::Tree;

/// Version of the payloads of this release.
pub const VALUE_VERSION: u8 = 1;
/// Bytes that the envelope adds to a payload: one of version, four of checksum.
pub const ENVELOPE_BYTES: usize = 5;
/// Longest payload of one value.
pub const PAYLOAD_BYTES_MAX: usize = 256 * 1024;

/// Wraps `payload` for the place `(tree, key)`. The checksum covers the place too, so that a value that turns up
/// under another key is noticed.
///
/// # Errors
/// [`StoreError::TooLarge`] past [`PAYLOAD_BYTES_MAX`].
pub fn seal(tree: Tree, key: &[u8], payload: &[u8]) -> Result<Vec<u8>, StoreError> {
    if payload.len() > PAYLOAD_BYTES_MAX {
        return Err(StoreError::TooLarge { what: "a stored value", bytes: payload.len(), max: PAYLOAD_BYTES_MAX });
    }
    let mut out = Vec::with_capacity(payload.len() + ENVELOPE_BYTES);
    out.push(VALUE_VERSION);
    out.extend_from_slice(payload);
    let checksum = checksum(tree, key, &out);
    out.extend_from_slice(&checksum.to_le_bytes());
    Ok(out)
}

/// Checks the envelope of a value read at `(tree, key)` and returns its payload.
///
/// # Errors
/// [`StoreError::Damaged`] when it is short, of an unknown version, or its checksum is wrong.
pub fn open<'a>(tree: Tree, key: &[u8], value: &'a [u8]) -> Result<&'a [u8], StoreError> {
    let (body, tail) = value.split_last_chunk::<4>().ok_or_else(|| damaged(tree, key, "is too short"))?;
    if checksum(tree, key, body) != u32::from_le_bytes(*tail) {
        return Err(damaged(tree, key, "does not match its checksum"));
    }
    match body.split_first() {
        Some((&VALUE_VERSION, payload)) => Ok(payload),
        _ => Err(damaged(tree, key, "has an unknown version")),
    }
}

fn checksum(tree: Tree, key: &[u8], body: &[u8]) -> u32 {
    let place = crc32c::crc32c_append(crc32c::crc32c(&[tree.tag()]), key);
    crc32c::crc32c_append(place, body)
}

fn damaged(tree: Tree, key: &[u8], how: &str) -> StoreError {
    StoreError::damaged(format!("{tree:?} \"{}\" {how}", key.escape_ascii()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_sealed_value_opens_at_its_own_place_only(key: Vec<u8>, other: Vec<u8>, payload: Vec<u8>) {
            let sealed = seal(Tree::Locations, &key, &payload).unwrap();
            prop_assert_eq!(sealed.len(), payload.len() + ENVELOPE_BYTES);
            prop_assert_eq!(open(Tree::Locations, &key, &sealed).unwrap(), &payload[..]);
            prop_assert!(open(Tree::Messages, &key, &sealed).is_err());
            if other != key {
                prop_assert!(open(Tree::Locations, &other, &sealed).is_err());
            }
        }

        #[test]
        fn one_flipped_bit_is_always_noticed(
            payload in proptest::collection::vec(any::<u8>(), 0..200), place: usize, bit in 0u8..8
        ) {
            let mut sealed = seal(Tree::Calls, b"key", &payload).unwrap();
            let place = place % sealed.len();
            sealed[place] ^= 1 << bit;
            let damaged = matches!(open(Tree::Calls, b"key", &sealed), Err(StoreError::Damaged { .. }));
            prop_assert!(damaged);
        }

        #[test]
        fn a_cut_value_is_always_noticed(payload: Vec<u8>, cut: usize) {
            let sealed = seal(Tree::Calls, b"key", &payload).unwrap();
            prop_assert!(open(Tree::Calls, b"key", &sealed[..cut % sealed.len()]).is_err());
        }
    }

    #[test]
    fn a_value_past_its_bound_is_refused() {
        let payload = vec![0; PAYLOAD_BYTES_MAX + 1];
        assert!(matches!(seal(Tree::Calls, b"k", &payload), Err(StoreError::TooLarge { .. })));
    }
}
