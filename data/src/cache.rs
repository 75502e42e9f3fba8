//! Decoded pictures kept in memory, for data small enough that decoding them again would be most of the work.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use clip_model::preprocess::RgbaImage;

/// Filled until it is full and never emptied: each picture is wanted once an epoch, so what comes late would only
/// push out what is wanted sooner.
#[derive(Debug)]
pub(crate) struct Cache {
    limit: usize,
    pictures: Mutex<Pictures>,
}

#[derive(Debug, Default)]
struct Pictures {
    bytes: usize,
    by_place: HashMap<(usize, usize), Arc<RgbaImage>>,
}

impl Cache {
    pub fn new(megabytes: usize) -> Self {
        Cache { limit: megabytes.saturating_mul(1 << 20), pictures: Mutex::default() }
    }

    pub fn get(&self, place: (usize, usize)) -> Option<Arc<RgbaImage>> {
        if self.limit == 0 {
            return None;
        }
        self.pictures.lock().unwrap_or_else(PoisonError::into_inner).by_place.get(&place).cloned()
    }

    pub fn put(&self, place: (usize, usize), picture: &Arc<RgbaImage>) {
        let bytes = picture.rgba().len();
        if bytes > self.limit {
            return;
        }
        let mut pictures = self.pictures.lock().unwrap_or_else(PoisonError::into_inner);
        if pictures.bytes + bytes <= self.limit && pictures.by_place.insert(place, picture.clone()).is_none()
        {
            pictures.bytes += bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_to_its_limit() {
        let picture = |side: usize| Arc::new(RgbaImage::new(side, side, vec![0; side * side * 4]).unwrap());
        let cache = Cache::new(1);
        cache.put((0, 0), &picture(400));
        cache.put((0, 1), &picture(400));
        cache.put((0, 2), &picture(300));
        assert!(cache.get((0, 0)).is_some());
        assert!(cache.get((0, 1)).is_none(), "two pictures of 640 kB are over 1 MB");
        assert!(cache.get((0, 2)).is_some());
        let off = Cache::new(0);
        off.put((0, 0), &picture(1));
        assert!(off.get((0, 0)).is_none());
    }
}
