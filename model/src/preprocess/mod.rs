//! Image bytes to the pixels a tower sees.
