//! What a stream remembers of the things that it sees.

use std::collections::HashMap;
use std::sync::Arc;

use super::options::StreamOptions;
use crate::embeddings::normalize;
use crate::labels::LabelSet;

/// Which tracks are due to be seen by the engine, kept where frames are pushed.
#[derive(Debug, Default)]
pub(super) struct Due {
    /// Frames until each track is seen again, and the frame that it was in last.
    tracks: HashMap<u64, (usize, u64)>,
    frame: u64,
    refresh: usize,
    forget: u64,
}

impl Due {
    pub fn new(options: &StreamOptions) -> Due {
        Due { refresh: options.refresh, forget: options.forget as u64, ..Due::default() }
    }

    /// A frame begins: tracks that were in none for long are forgotten.
    pub fn begin(&mut self) {
        self.frame += 1;
        let (frame, forget) = (self.frame, self.forget);
        self.tracks.retain(|_, (_, last)| frame - *last <= forget);
    }

    /// Whether a track of this frame is to be seen.
    pub fn is_due(&mut self, track: u64) -> bool {
        let (left, last) = self.tracks.entry(track).or_insert((0, self.frame));
        *last = self.frame;
        let due = *left == 0;
        *left = if due { self.refresh - 1 } else { *left - 1 };
        due
    }

    /// A frame was dropped in which the track was to be seen: the next one has to do.
    pub fn missed(&mut self, track: u64) {
        if let Some((left, _)) = self.tracks.get_mut(&track) {
            *left = 0;
        }
    }
}

/// What a track showed of labels that it is not compared with any more.
#[derive(Debug)]
pub(super) struct Lost {
    labels: Arc<LabelSet>,
    shown: Option<usize>,
}

impl Lost {
    /// The label, if there was one.
    pub fn name(&self) -> Option<&String> {
        self.labels.labels().get(self.shown?)
    }
}

/// What was found of one thing.
#[derive(Debug, Default)]
pub(super) struct Track {
    /// The average of its embeddings; empty when it was never seen.
    average: Vec<f32>,
    /// The same, of length one.
    embedding: Vec<f32>,
    /// What `shown` and `candidate` are about.
    labels: Option<Arc<LabelSet>>,
    shown: Option<usize>,
    /// What else was found, and in how many frames in a row.
    candidate: Option<usize>,
    count: usize,
    last: u64,
}

impl Track {
    /// One more embedding, of length one.
    pub fn see(&mut self, embedding: &[f32], smoothing: f32) {
        if self.average.is_empty() {
            self.average.extend_from_slice(embedding);
        }
        for (average, &present) in self.average.iter_mut().zip(embedding) {
            *average = smoothing * *average + (1.0 - smoothing) * present;
        }
        self.embedding.clear();
        self.embedding.extend_from_slice(&self.average);
        // Where opposite embeddings cancel each other out, the present one is what there is.
        if normalize(&mut self.embedding).is_none() {
            self.embedding.copy_from_slice(embedding);
            self.average.copy_from_slice(embedding);
        }
    }

    /// Its embedding, smoothed; empty when it was never seen.
    pub fn embedding(&self) -> &[f32] {
        &self.embedding
    }

    /// What was found of it before is about these labels; what was about others is forgotten, and given back.
    pub fn compare_with(&mut self, labels: &Arc<LabelSet>) -> Option<Lost> {
        if self.labels.as_ref().is_some_and(|known| Arc::ptr_eq(known, labels)) {
            return None;
        }
        let labels = self.labels.replace(Arc::clone(labels));
        let lost = labels.map(|labels| Lost { labels, shown: self.shown });
        self.compare_none();
        lost
    }

    /// `found` was found in one more frame; another than is shown has to be found in `hold` of them. Says whether what is shown has changed.
    pub fn find(&mut self, found: Option<usize>, hold: usize) -> bool {
        if found == self.shown {
            self.count = 0;
            return false;
        }
        self.count = if found == self.candidate { self.count + 1 } else { 1 };
        self.candidate = found;
        if self.count < hold {
            return false;
        }
        (self.shown, self.count) = (found, 0);
        true
    }

    /// What is shown.
    pub fn shown(&self) -> Option<usize> {
        self.shown
    }
}

/// The tracks of a stream.
#[derive(Debug, Default)]
pub(super) struct Tracks {
    whole: Track,
    tracks: HashMap<u64, Track>,
    /// Those that were forgotten, to be used again.
    spare: Vec<Track>,
    frame: u64,
}

impl Tracks {
    /// A frame begins: tracks that were in none of the last `forget` are forgotten.
    pub fn begin(&mut self, forget: usize) {
        self.frame += 1;
        let (frame, spare) = (self.frame, &mut self.spare);
        self.tracks.retain(|_, track| {
            let keep = frame - track.last <= forget as u64;
            if !keep {
                let mut old = std::mem::take(track);
                old.average.clear();
                old.embedding.clear();
                old.labels = None;
                old.compare_none();
                spare.push(old);
            }
            keep
        });
    }

    /// A track, or what stands for the whole frame.
    pub fn get(&mut self, track: Option<u64>) -> &mut Track {
        let Some(number) = track else { return &mut self.whole };
        let spare = &mut self.spare;
        let track = self.tracks.entry(number).or_insert_with(|| spare.pop().unwrap_or_default());
        track.last = self.frame;
        track
    }
}

impl Track {
    fn compare_none(&mut self) {
        (self.shown, self.candidate, self.count) = (None, None, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_has_to_hold_before_it_is_shown() {
        let mut track = Track::default();
        let mut shown = |found, hold| {
            let changed = track.find(found, hold);
            (track.shown(), changed)
        };
        assert_eq!(shown(Some(1), 3), (None, false));
        assert_eq!(shown(Some(1), 3), (None, false));
        assert_eq!(shown(Some(1), 3), (Some(1), true));
        assert_eq!(shown(Some(1), 3), (Some(1), false));
        // What comes between begins the count anew, whichever it is.
        assert_eq!(shown(Some(2), 2), (Some(1), false));
        assert_eq!(shown(Some(1), 2), (Some(1), false));
        assert_eq!(shown(Some(2), 2), (Some(1), false));
        assert_eq!(shown(None, 2), (Some(1), false));
        assert_eq!(shown(Some(2), 2), (Some(1), false));
        assert_eq!(shown(Some(2), 2), (Some(2), true));
        assert_eq!(shown(None, 1), (None, true));
    }

    #[test]
    fn embeddings_are_averaged_and_of_length_one() {
        let mut track = Track::default();
        assert!(track.embedding().is_empty());
        track.see(&[1.0, 0.0], 0.5);
        assert_eq!(track.embedding(), [1.0, 0.0]);
        track.see(&[0.0, 1.0], 0.5);
        let half = 0.5f32.sqrt();
        assert!(track.embedding().iter().all(|x| (x - half).abs() < 1e-6), "{:?}", track.embedding());
        track.see(&[0.0, 1.0], 0.0);
        assert_eq!(track.embedding(), [0.0, 1.0]);
        // Opposite ones leave nothing to average.
        track.see(&[0.0, -1.0], 0.5);
        assert_eq!(track.embedding(), [0.0, -1.0]);
    }

    #[test]
    fn a_track_is_seen_in_every_so_many_of_its_frames() {
        const NONE: [u64; 0] = [];
        let mut due = Due::new(&StreamOptions::new().refresh(3).forget(2));
        let mut frame = |tracks: &[u64], missed: &[u64]| {
            due.begin();
            let seen: Vec<u64> = tracks.iter().copied().filter(|&track| due.is_due(track)).collect();
            missed.iter().for_each(|&track| due.missed(track));
            seen
        };
        assert_eq!(frame(&[7, 8], &[]), [7, 8]);
        assert_eq!(frame(&[7], &[]), NONE);
        assert_eq!(frame(&[7, 8], &[]), NONE);
        assert_eq!(frame(&[7, 8], &[]), [7]);
        // Track 8 was in fewer frames.
        assert_eq!(frame(&[7, 8], &[]), [8]);
        // A frame that was dropped was not seen.
        assert_eq!(frame(&[7], &[8]), NONE);
        assert_eq!(frame(&[8], &[]), [8]);
        // In none of two frames, which is forgotten only after the next.
        assert_eq!(frame(&[], &[]), NONE);
        assert_eq!(frame(&[8], &[]), NONE);
        assert_eq!(frame(&[7], &[]), [7]);
    }

    #[test]
    fn tracks_are_forgotten() {
        let mut tracks = Tracks::default();
        tracks.begin(1);
        tracks.get(Some(3)).see(&[1.0], 0.0);
        tracks.begin(1);
        assert_eq!(tracks.get(Some(3)).embedding(), [1.0]);
        tracks.begin(1);
        tracks.begin(1);
        assert!(tracks.get(Some(3)).embedding().is_empty());
        tracks.get(None).see(&[1.0], 0.0);
        (0..9).for_each(|_| tracks.begin(1));
        assert_eq!(tracks.get(None).embedding(), [1.0], "the whole frame is always there");
    }
}
