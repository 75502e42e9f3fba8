//! What comes in from C: checked, and only then given a Rust type. The lifetimes are those of the call.

use std::ffi::{CStr, c_char};
use std::mem::MaybeUninit;
use std::path::Path;

use clip_model::memory;

use crate::error::{Error, Name};

/// What `pointer` points to.
pub(crate) unsafe fn reference<'a, T>(pointer: *const T, name: impl Into<Name>) -> Result<&'a T, Error> {
    unsafe { pointer.as_ref() }.ok_or_else(|| Error::Null(name.into()))
}

/// Where a result goes. The caller need not have initialised it.
pub(crate) unsafe fn output<'a, T>(
    pointer: *mut T,
    name: &'static str,
) -> Result<&'a mut MaybeUninit<T>, Error> {
    unsafe { pointer.cast::<MaybeUninit<T>>().as_mut() }.ok_or_else(|| Error::Null(name.into()))
}

/// `length` elements; NULL will do for none.
pub(crate) unsafe fn slice<'a, T>(
    pointer: *const T,
    length: usize,
    name: &'static str,
) -> Result<&'a [T], Error> {
    if length == 0 {
        return Ok(&[]);
    }
    within_memory::<T>(length, name)?;
    unsafe { reference(pointer, name) }?;
    Ok(unsafe { std::slice::from_raw_parts(pointer, length) })
}

/// Room for `length` results, like [`slice`].
unsafe fn room<'a, T>(
    pointer: *mut T,
    length: usize,
    name: &'static str,
) -> Result<&'a mut [MaybeUninit<T>], Error> {
    if length == 0 {
        return Ok(&mut []);
    }
    within_memory::<T>(length, name)?;
    unsafe { output(pointer, name) }?;
    Ok(unsafe { std::slice::from_raw_parts_mut(pointer.cast(), length) })
}

/// Room for `n` rows of `width` results each, in an array that has room for `capacity`.
pub(crate) unsafe fn rows<'a, T>(
    pointer: *mut T,
    capacity: usize,
    n: usize,
    width: usize,
    name: &'static str,
) -> Result<&'a mut [MaybeUninit<T>], Error> {
    let overflow = || Error::Argument(format!("{name} cannot have {n} rows of {width} elements"));
    let expected = n.checked_mul(width).ok_or_else(overflow)?;
    if capacity < expected {
        return Err(Error::Capacity { name, expected, found: capacity });
    }
    unsafe { room(pointer, expected, name) }
}

/// An array of handles.
pub(crate) unsafe fn references<'a, T>(
    pointer: *const *const T,
    length: usize,
    name: &'static str,
) -> Result<Vec<&'a T>, Error> {
    unsafe { all(pointer, length, name, |&pointer, name| reference(pointer, name)) }
}

/// A string of C as UTF-8.
pub(crate) unsafe fn text<'a>(pointer: *const c_char, name: impl Into<Name>) -> Result<&'a str, Error> {
    let name = name.into();
    unsafe { reference(pointer, name) }?;
    let text = unsafe { CStr::from_ptr(pointer) };
    text.to_str().map_err(|e| Error::Utf8 { name, at: e.valid_up_to() })
}

/// An array of strings.
pub(crate) unsafe fn texts<'a>(
    pointer: *const *const c_char,
    length: usize,
    name: &'static str,
) -> Result<Vec<&'a str>, Error> {
    unsafe { all(pointer, length, name, |&pointer, name| text(pointer, name)) }
}

/// An array of pointers, each of which `one` checks.
unsafe fn all<T, R>(
    pointer: *const T,
    length: usize,
    name: &'static str,
    one: impl Fn(&T, Name) -> Result<R, Error>,
) -> Result<Vec<R>, Error> {
    let pointers = unsafe { slice(pointer, length, name) }?;
    let mut all = memory::with_capacity(name, length)?;
    for (index, pointer) in pointers.iter().enumerate() {
        all.push(one(pointer, Name(name, Some(index)))?);
    }
    Ok(all)
}

/// A path, `what` it is of is said about an empty one.
pub(crate) unsafe fn path<'a>(
    pointer: *const c_char,
    name: &'static str,
    what: &'static str,
) -> Result<&'a Path, Error> {
    /// No system takes longer ones, and a message is not to carry one either.
    const LONGEST: usize = 32 << 10;
    let text = unsafe { text(pointer, name) }?;
    match text.len() {
        0 => Err(Error::Path(format!("{name} is empty: name {what}"))),
        1..=LONGEST => Ok(text.as_ref()),
        bytes => Err(Error::Path(format!("{name} has {bytes} bytes, longer than any path: name {what}"))),
    }
}

/// A struct of options that grows from version to version: only plain numbers and pointers, of which all zeros are a
/// value, and the first of which is its `size_t struct_size`. New fields are appended, none is ever moved.
pub(crate) unsafe trait Options: Copy {
    /// What the first version of the header had.
    const SMALLEST: usize;
}

/// A copy of a struct of options as this library knows it, whichever header the caller was built with: fields that an
/// older header does not have are zero; those that a newer one has, and this library does not know, must be.
pub(crate) unsafe fn options<T: Options>(pointer: *const T, name: impl Into<Name>) -> Result<T, Error> {
    /// No struct of ours will be longer, so a number above is a field that was never set.
    const LONGEST: usize = 4096;
    let name = name.into();
    unsafe { reference(pointer.cast::<usize>(), name) }?;
    let found = unsafe { *pointer.cast::<usize>() };
    let known = size_of::<T>();
    let wrong = |reason| Err(Error::StructSize { name, known, found, reason });
    // A compiler makes every such struct a whole number of words.
    if !(T::SMALLEST..=LONGEST).contains(&found) || !found.is_multiple_of(align_of::<T>()) {
        return wrong("set it to sizeof of the struct");
    }
    let bytes = unsafe { std::slice::from_raw_parts(pointer.cast::<u8>(), found) };
    if bytes.iter().skip(known).any(|&byte| byte != 0) {
        return wrong("a field is set that a later version brought");
    }
    let mut copy = MaybeUninit::<T>::zeroed();
    // SAFETY: both have so many bytes, and zeros are a value of the rest, as the trait says.
    unsafe {
        std::ptr::copy_nonoverlapping(bytes.as_ptr(), copy.as_mut_ptr().cast(), found.min(known));
        Ok(copy.assume_init())
    }
}

/// No object is larger than half the address space; a length that claims so is a mistake.
fn within_memory<T>(length: usize, name: &'static str) -> Result<(), Error> {
    if length > isize::MAX as usize / size_of::<T>() {
        return Err(Error::Argument(format!(
            "{name} cannot have {length} elements of {} bytes",
            size_of::<T>()
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ptr::{null, null_mut};

    fn said<T>(result: Result<T, Error>) -> String {
        result.map(|_| ()).unwrap_err().to_string()
    }

    #[test]
    fn null_is_named() {
        assert_eq!(said(unsafe { reference(null::<u8>(), "model") }), "model is NULL");
        assert_eq!(said(unsafe { output(null_mut::<u8>(), "out") }), "out is NULL");
        assert_eq!(said(unsafe { slice(null::<f32>(), 1, "x") }), "x is NULL");
        assert_eq!(said(unsafe { room(null_mut::<f32>(), 1, "x") }), "x is NULL");
        assert_eq!(said(unsafe { text(null(), "path") }), "path is NULL");
        assert_eq!(said(unsafe { texts(null(), 1, "labels") }), "labels is NULL");
        assert_eq!(
            said(unsafe { texts([c"a".as_ptr(), null()].as_ptr(), 2, "labels") }),
            "labels[1] is NULL"
        );
        assert_eq!(said(unsafe { options(null::<Known>(), "options") }), "options is NULL");
    }

    #[test]
    fn null_will_do_for_nothing() {
        assert!(unsafe { slice(null::<f32>(), 0, "x") }.unwrap().is_empty());
        assert!(unsafe { room(null_mut::<f32>(), 0, "x") }.unwrap().is_empty());
        assert!(unsafe { texts(null(), 0, "x") }.unwrap().is_empty());
    }

    #[test]
    fn lengths_beyond_memory_are_refused() {
        let byte = 0u8;
        for length in [usize::MAX, isize::MAX as usize / 4 + 1] {
            let error = said(unsafe { slice((&raw const byte).cast::<f32>(), length, "x") });
            assert_eq!(error, format!("x cannot have {length} elements of 4 bytes"));
        }
    }

    #[test]
    fn paths_name_something() {
        assert_eq!(unsafe { path(c"a/b".as_ptr(), "path", "a file") }.unwrap(), Path::new("a/b"));
        assert_eq!(said(unsafe { path(c"".as_ptr(), "path", "a file") }), "path is empty: name a file");
        let long = std::ffi::CString::new("a".repeat(1 << 20)).unwrap();
        let error = said(unsafe { path(long.as_ptr(), "path", "a file") });
        assert_eq!(error, "path has 1048576 bytes, longer than any path: name a file");
    }

    #[test]
    fn strings_are_utf8() {
        assert_eq!(unsafe { text(c"na\u{ef}ve".as_ptr(), "x") }.unwrap(), "na\u{ef}ve");
        let latin1 = [b'n', b'a', 0xef, b'v', b'e', 0];
        let error = said(unsafe { text(latin1.as_ptr().cast(), "labels[3]") });
        assert_eq!(error, "labels[3] is not UTF-8: byte 2 begins no character");
    }

    #[repr(C)]
    #[derive(Clone, Copy)]
    struct Known {
        struct_size: usize,
        threads: usize,
        later: usize,
    }

    unsafe impl Options for Known {
        const SMALLEST: usize = 2 * size_of::<usize>();
    }

    #[test]
    fn options_of_other_versions() {
        const WORD: usize = size_of::<usize>();
        let read = |fields: &[usize]| {
            let mut fields = fields.to_vec();
            fields[0] *= WORD;
            let options = unsafe { options(fields.as_ptr().cast::<Known>(), "options") }?;
            Ok((options.struct_size / WORD, options.threads, options.later))
        };
        assert_eq!(read(&[3, 4, 5]).unwrap(), (3, 4, 5));
        // What an older header does not have is zero, whatever lies behind the caller's struct.
        assert_eq!(read(&[2, 4, 99]).unwrap(), (2, 4, 0));
        assert_eq!(read(&[4, 4, 5, 0]).unwrap(), (4, 4, 5));
        let later = said(read(&[4, 4, 5, 1]));
        let known = 3 * WORD;
        assert!(
            later.ends_with(&format!(
                "this library knows {known}: a field is set that a later version brought"
            ))
        );
    }

    #[test]
    fn sizes_that_no_header_has_are_refused() {
        for wrong in [0, 1, size_of::<usize>(), 2 * size_of::<usize>() + 1, 4097, usize::MAX] {
            let fields = [wrong, 4, 5, 0];
            let error = said(unsafe { options(fields.as_ptr().cast::<Known>(), "options") });
            assert!(error.ends_with("set it to sizeof of the struct"), "{error}");
        }
    }
}
