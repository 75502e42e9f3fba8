//! The device that a run computes on.

use tch::Device;

use crate::error::{Error, Result};

/// Understands `cpu`, `cuda` and `cuda:N`.
///
/// # Errors
/// [`Error::Device`] for another name.
pub fn parse(name: &str) -> Result<Device> {
    let index = || name.strip_prefix("cuda:")?.parse::<usize>().ok();
    match name {
        "cpu" => Ok(Device::Cpu),
        "cuda" => Ok(Device::Cuda(0)),
        _ => index().map(Device::Cuda).ok_or_else(|| Error::Device {
            device: name.to_owned(),
            reason: "not known, expected cpu or cuda:N".into(),
        }),
    }
}

/// Makes sure that the device is there; there is no fallback.
///
/// Must be called before any other use of libtorch when CUDA is wanted: the programs are not linked with
/// `libtorch_cuda.so`, which is opened here.
///
/// # Errors
/// [`Error::Device`] for a CUDA device that cannot be used, with what to do about it.
pub fn open(device: Device) -> Result<()> {
    let Device::Cuda(index) = device else { return Ok(()) };
    let fail = |reason: String| Err(Error::Device { device: format!("cuda:{index}"), reason });
    if let Err(reason) = open_cuda_library() {
        return fail(format!(
            "libtorch_cuda.so cannot be opened ({reason}); `make .deps/libtorch` on a machine with an NVIDIA GPU \
             fetches it and the CUDA libraries that it needs"
        ));
    }
    let count = tch::Cuda::device_count();
    match usize::try_from(count) {
        Ok(count) if index < count => Ok(()),
        Ok(0) | Err(_) => {
            fail("libtorch sees no CUDA device; is an NVIDIA driver installed (nvidia-smi)?".into())
        }
        Ok(count) => fail(format!("libtorch sees {count} CUDA devices, numbered from 0")),
    }
}

/// Opening the library registers CUDA with libtorch; it stays open for good.
fn open_cuda_library() -> std::result::Result<(), String> {
    use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW};
    // SAFETY: libtorch's own library, whose initialisers are made to run when it is opened at any time before use.
    let library = unsafe { Library::open(Some("libtorch_cuda.so"), RTLD_NOW | RTLD_GLOBAL) };
    let library = library.map_err(|e| {
        let mut reason = e.to_string();
        if let Some(source) = std::error::Error::source(&e) {
            reason = format!("{reason}: {source}");
        }
        reason
    })?;
    std::mem::forget(library);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        assert_eq!(parse("cpu").unwrap(), Device::Cpu);
        assert_eq!(parse("cuda").unwrap(), Device::Cuda(0));
        assert_eq!(parse("cuda:3").unwrap(), Device::Cuda(3));
        for name in ["gpu", "cuda:x", "cuda:-1", "CPU", ""] {
            let message = parse(name).unwrap_err().to_string();
            assert!(message.contains("expected cpu or cuda:N"), "{message}");
        }
    }
}
