//! Whether there is a driver, and a new enough one.

use std::sync::OnceLock;

use cudarc::driver::sys::{CUresult, cuDriverGetVersion, is_culib_present};
use cudarc::driver::{DriverError, result};

use crate::error::{Error, Result};

/// The version of CUDA that a driver must serve, as `cuDriverGetVersion` counts: `major * 1000 + minor * 10`. All functions
/// that are called are in its driver. It is that of `cudarc`'s feature in Cargo.toml.
const OLDEST: i32 = 12_020;

/// Starts the driver.
pub fn start() -> Result<()> {
    static PRESENT: OnceLock<bool> = OnceLock::new();
    // SAFETY: opening the driver's library runs its initialisers.
    if !PRESENT.get_or_init(|| unsafe { is_culib_present() }) {
        return Err(Error::NoDriver);
    }
    let mut version = 0;
    // SAFETY: the function is in every driver, needs no initialisation and writes a number.
    unsafe { cuDriverGetVersion(&mut version) }
        .result()
        .map_err(|e| failed("ask the driver's version", e))?;
    if version < OLDEST {
        let [found, needed] = [version, OLDEST].map(|v| format!("{}.{}", v / 1000, v % 1000 / 10));
        return Err(Error::DriverTooOld { found, needed });
    }
    result::init().map_err(|e| match e.0 {
        CUresult::CUDA_ERROR_NO_DEVICE => Error::NoDevice { index: 0, count: 0 },
        _ => failed("start the driver", e),
    })
}

/// The driver's error, in its own words.
pub fn failed(action: &'static str, error: DriverError) -> Error {
    let words = error.error_string().ok().map(|text| text.to_string_lossy().into_owned());
    let number = error.0 as u32;
    Error::Cuda {
        action,
        reason: match words {
            Some(words) => format!("{words} ({number})"),
            None => format!("error {number}"),
        },
    }
}
