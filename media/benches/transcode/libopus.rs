//! The reference in C, loaded while the bench runs: nothing needs it to be built.

use crate::common::{cpu, median};
use std::ffi::{CStr, c_char, c_int, c_void};
use std::sync::LazyLock;

/// Of `opus_defines.h`, part of the library's published interface.
const APPLICATION_VOIP: c_int = 2048;
const SET_BITRATE: c_int = 4002;
const SET_COMPLEXITY: c_int = 4010;
const SECONDS: usize = 4;

struct Library {
    version: unsafe extern "C" fn() -> *const c_char,
    encoder: unsafe extern "C" fn(i32, c_int, c_int, *mut c_int) -> *mut c_void,
    encode: unsafe extern "C" fn(*mut c_void, *const i16, c_int, *mut u8, i32) -> i32,
    control: unsafe extern "C" fn(*mut c_void, c_int, ...) -> c_int,
    free_encoder: unsafe extern "C" fn(*mut c_void),
    decoder: unsafe extern "C" fn(i32, c_int, *mut c_int) -> *mut c_void,
    decode: unsafe extern "C" fn(*mut c_void, *const u8, i32, *mut i16, c_int, c_int) -> c_int,
    free_decoder: unsafe extern "C" fn(*mut c_void),
}

static LIBRARY: LazyLock<Option<Library>> = LazyLock::new(load);

#[allow(clippy::missing_transmute_annotations)] // the field that it goes to has the type
fn load() -> Option<Library> {
    // SAFETY: the library has no constructor that could do harm, and it stays loaded.
    let handle = unsafe { libc::dlopen(c"libopus.so.0".as_ptr(), libc::RTLD_NOW) };
    if handle.is_null() {
        return None;
    }
    macro_rules! symbol {
        ($name:literal) => {{
            // SAFETY: the handle is of an open library.
            let found = unsafe { libc::dlsym(handle, $name.as_ptr()) };
            if found.is_null() {
                return None;
            }
            // SAFETY: the function has this type in the library's header.
            unsafe { std::mem::transmute::<*mut c_void, _>(found) }
        }};
    }
    Some(Library {
        version: symbol!(c"opus_get_version_string"),
        encoder: symbol!(c"opus_encoder_create"),
        encode: symbol!(c"opus_encode"),
        control: symbol!(c"opus_encoder_ctl"),
        free_encoder: symbol!(c"opus_encoder_destroy"),
        decoder: symbol!(c"opus_decoder_create"),
        decode: symbol!(c"opus_decode"),
        free_decoder: symbol!(c"opus_decoder_destroy"),
    })
}

/// Its name and version; `None` if it is not installed.
pub fn version() -> Option<String> {
    let library = LIBRARY.as_ref()?;
    // SAFETY: it returns a constant string.
    let text = unsafe { CStr::from_ptr((library.version)()) };
    Some(text.to_string_lossy().into_owned())
}

/// µs for a second of these samples, one channel in frames of 20 ms, at our settings.
pub fn encode(rate_hz: u32, samples: &[i16], rounds: usize) -> Option<f64> {
    let library = LIBRARY.as_ref()?;
    let bits: c_int = match rate_hz {
        8000 => 16_000,
        12_000 | 16_000 => 24_000,
        _ => 32_000,
    };
    let round = |_| {
        let mut error = 0;
        // SAFETY: by the library's header; the encoder is used by this thread alone, and freed once.
        let encoder = unsafe { (library.encoder)(rate_hz as i32, 1, APPLICATION_VOIP, &mut error) };
        assert_eq!(error, 0);
        unsafe {
            (library.control)(encoder, SET_BITRATE, bits);
            (library.control)(encoder, SET_COMPLEXITY, 5 as c_int);
        }
        let (mut bytes, before) = ([0u8; 1440], cpu(None));
        for _ in 0..SECONDS {
            for frame in samples.chunks_exact((rate_hz / 50) as usize) {
                let length = unsafe {
                    (library.encode)(encoder, frame.as_ptr(), frame.len() as c_int, bytes.as_mut_ptr(), 1440)
                };
                assert!(length > 0);
            }
        }
        let used = cpu(None) - before;
        unsafe { (library.free_encoder)(encoder) };
        used.as_secs_f64() * 1e6 / SECONDS as f64
    };
    Some(median((0..rounds).map(round).collect()))
}

/// µs for a second of these packets.
pub fn decode(rate_hz: u32, packets: &[Vec<u8>], rounds: usize) -> Option<f64> {
    let library = LIBRARY.as_ref()?;
    let round = |_| {
        let mut error = 0;
        // SAFETY: as above.
        let decoder = unsafe { (library.decoder)(rate_hz as i32, 1, &mut error) };
        assert_eq!(error, 0);
        let (mut samples, before) = ([0i16; 5760], cpu(None));
        for _ in 0..SECONDS {
            for packet in packets {
                let count = unsafe {
                    (library.decode)(decoder, packet.as_ptr(), packet.len() as i32, samples.as_mut_ptr(), 5760, 0)
                };
                assert_eq!(count, (rate_hz / 50) as c_int);
            }
        }
        let used = cpu(None) - before;
        unsafe { (library.free_decoder)(decoder) };
        used.as_secs_f64() * 1e6 / SECONDS as f64
    };
    Some(median((0..rounds).map(round).collect()))
}
