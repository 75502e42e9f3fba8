//! Memory whose size comes from outside: what cannot be had is an error, where `vec![0; n]` would end the process.

use crate::error::{Error, Result};

/// An empty vector with room for `n` elements; `what` it is for is named in the error.
///
/// # Errors
/// [`Error::Memory`] when there is no room.
pub fn with_capacity<T>(what: &str, n: usize) -> Result<Vec<T>> {
    let mut vector = Vec::new();
    let bytes = n.saturating_mul(size_of::<T>());
    vector.try_reserve_exact(n).map_err(|_| Error::Memory { what: what.to_owned(), bytes })?;
    Ok(vector)
}

/// `n` elements, each `value`.
///
/// # Errors
/// As [`with_capacity`].
pub fn filled<T: Clone>(what: &str, value: T, n: usize) -> Result<Vec<T>> {
    let mut vector = with_capacity(what, n)?;
    vector.resize(n, value);
    Ok(vector)
}

/// A copy of `elements`.
///
/// # Errors
/// As [`with_capacity`].
pub fn copy<T: Clone>(what: &str, elements: &[T]) -> Result<Vec<T>> {
    let mut vector = with_capacity(what, elements.len())?;
    vector.extend_from_slice(elements);
    Ok(vector)
}

/// Makes room for `n` more elements, and for some that may follow.
///
/// # Errors
/// As [`with_capacity`].
pub fn reserve<T>(what: &str, vector: &mut Vec<T>, n: usize) -> Result<()> {
    let bytes = n.saturating_mul(size_of::<T>());
    vector.try_reserve(n).map_err(|_| Error::Memory { what: what.to_owned(), bytes })
}

/// A copy of a text.
///
/// # Errors
/// As [`with_capacity`].
pub fn text(what: &str, text: &str) -> Result<String> {
    let mut copy = String::new();
    let bytes = text.len();
    copy.try_reserve_exact(bytes).map_err(|_| Error::Memory { what: what.to_owned(), bytes })?;
    copy.push_str(text);
    Ok(copy)
}

/// Makes sure that so many bytes can be had at this moment, by taking them and giving them back: before many small pieces
/// are asked for, or by code that ends the process when it gets none.
///
/// # Errors
/// As [`with_capacity`].
pub fn available(what: &str, bytes: usize) -> Result<()> {
    // The compiler may leave out an allocation that nothing looks at.
    std::hint::black_box(with_capacity::<u8>(what, bytes)?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits_is_given() {
        assert_eq!(filled("three", 7u16, 3).unwrap(), [7, 7, 7]);
        assert_eq!(copy("two", &[1.5f32, 2.5]).unwrap(), [1.5, 2.5]);
        assert!(with_capacity::<u8>("some", 5).unwrap().capacity() >= 5);
        let mut grown = vec![1u8];
        reserve("more", &mut grown, 4).unwrap();
        assert!(grown.capacity() >= 5);
        assert_eq!(text("a word", "word").unwrap(), "word");
        available("a moment", 1 << 20).unwrap();
    }

    #[test]
    fn what_does_not_is_an_error_that_names_it() {
        for n in [usize::MAX, isize::MAX as usize / 4] {
            let message = filled("a picture", 0f32, n).unwrap_err().to_string();
            assert!(message.starts_with("not enough memory for a picture: "), "{message}");
        }
        let message = available("a moment", usize::MAX / 4).unwrap_err().to_string();
        assert!(message.starts_with("not enough memory for a moment: "), "{message}");
    }
}
