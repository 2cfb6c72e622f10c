//! Compact fields: LEB128 numbers and length-prefixed bytes. 100,000 bindings must stay small, so no field names.

use crate::StoreError;

/// Longest LEB128 form of a `u64`.
const VARINT_BYTES_MAX: u32 = 10;

/// Appends fields to a payload.
#[derive(Default)]
pub(crate) struct Encoder {
    out: Vec<u8>,
}

impl Encoder {
    pub(crate) fn number(&mut self, mut value: u64) -> &mut Self {
        loop {
            let low = value.to_le_bytes()[0] & 0x7f;
            value >>= 7;
            if value == 0 {
                self.out.push(low);
                return self;
            }
            self.out.push(low | 0x80);
        }
    }

    /// ZigZag, so that a small negative number is short too.
    pub(crate) fn signed(&mut self, value: i64) -> &mut Self {
        self.number((value.cast_unsigned() << 1) ^ (value >> 63).cast_unsigned())
    }

    pub(crate) fn bytes(&mut self, value: &[u8]) -> &mut Self {
        self.number(value.len() as u64);
        self.out.extend_from_slice(value);
        self
    }

    pub(crate) fn text(&mut self, value: &str) -> &mut Self {
        self.bytes(value.as_bytes())
    }

    /// An absent text is one byte; a present one is its length plus one, so that empty and absent differ.
    pub(crate) fn optional_text(&mut self, value: Option<&str>) -> &mut Self {
        match value {
            None => self.number(0),
            Some(text) => {
                self.number(text.len() as u64 + 1);
                self.out.extend_from_slice(text.as_bytes());
                self
            }
        }
    }

    pub(crate) fn finish(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.out)
    }
}

/// Reads fields in the order in which [`Encoder`] wrote them; every short or odd input is a typed error.
pub(crate) struct Decoder<'a> {
    rest: &'a [u8],
}

impl<'a> Decoder<'a> {
    pub(crate) fn new(payload: &'a [u8]) -> Self {
        Self { rest: payload }
    }

    pub(crate) fn number(&mut self) -> Result<u64, StoreError> {
        let mut value = 0u64;
        for place in 0..VARINT_BYTES_MAX {
            let (first, rest) = self.rest.split_first().ok_or_else(short)?;
            self.rest = rest;
            let bits = u64::from(first & 0x7f);
            let shifted = bits << (7 * place);
            if shifted >> (7 * place) != bits {
                return Err(StoreError::damaged("a number past 64 bits"));
            }
            value |= shifted;
            if first & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(StoreError::damaged("a number past 64 bits"))
    }

    pub(crate) fn signed(&mut self) -> Result<i64, StoreError> {
        let raw = self.number()?;
        Ok((raw >> 1).cast_signed() ^ -(raw & 1).cast_signed())
    }

    /// A number that has to fit a smaller type.
    pub(crate) fn small<T: TryFrom<u64>>(&mut self) -> Result<T, StoreError> {
        T::try_from(self.number()?).map_err(|_| StoreError::damaged("a number past its type"))
    }

    pub(crate) fn bytes(&mut self) -> Result<&'a [u8], StoreError> {
        let length = self.small::<usize>()?;
        self.take(length)
    }

    pub(crate) fn text(&mut self) -> Result<String, StoreError> {
        to_text(self.bytes()?)
    }

    pub(crate) fn optional_text(&mut self) -> Result<Option<String>, StoreError> {
        match self.small::<usize>()?.checked_sub(1) {
            None => Ok(None),
            Some(length) => to_text(self.take(length)?).map(Some),
        }
    }

    /// Fails when bytes are left: a payload of another shape.
    pub(crate) fn end(self) -> Result<(), StoreError> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(StoreError::damaged(format!("{} bytes past the last field", self.rest.len())))
        }
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], StoreError> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or_else(short)?;
        self.rest = rest;
        Ok(taken)
    }
}

/// UTF-8 or a typed error.
pub(crate) fn to_text(bytes: &[u8]) -> Result<String, StoreError> {
    std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| StoreError::damaged("a text that is not UTF-8"))
}

fn short() -> StoreError {
    StoreError::damaged("a record that ends too early")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(
            number: u64, signed: i64, bytes: Vec<u8>, text: String, optional: Option<String>
        ) {
            let mut encoder = Encoder::default();
            encoder.number(number).signed(signed).bytes(&bytes).text(&text).optional_text(optional.as_deref());
            let payload = encoder.finish();
            let mut decoder = Decoder::new(&payload);
            prop_assert_eq!(decoder.number().unwrap(), number);
            prop_assert_eq!(decoder.signed().unwrap(), signed);
            prop_assert_eq!(decoder.bytes().unwrap(), &bytes[..]);
            prop_assert_eq!(decoder.text().unwrap(), text);
            prop_assert_eq!(decoder.optional_text().unwrap(), optional);
            prop_assert!(decoder.end().is_ok());
        }

        #[test]
        fn foreign_bytes_are_an_error_or_a_value_but_never_a_panic(bytes: Vec<u8>) {
            let mut decoder = Decoder::new(&bytes);
            while decoder.number().is_ok() && decoder.optional_text().is_ok() && decoder.signed().is_ok() {}
        }
    }
}
