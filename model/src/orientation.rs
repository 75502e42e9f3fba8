//! How a picture is to be turned.

use serde::{Deserialize, Serialize};

/// How a stored picture becomes the one to look at: Exif 2.3's values 1 to 8 of tag 274.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Orientation {
    /// 1: as it is.
    #[default]
    Normal,
    /// 2: left and right change places.
    MirroredSideways,
    /// 3: turned by half.
    UpsideDown,
    /// 4: top and bottom change places.
    MirroredUpDown,
    /// 5: rows become columns.
    Transposed,
    /// 6: turned by a quarter clockwise.
    TurnedRight,
    /// 7: mirrored on the other diagonal.
    Transversed,
    /// 8: turned by a quarter counterclockwise.
    TurnedLeft,
}

impl Orientation {
    /// Of the tag's value; `None` for any but 1 to 8.
    pub fn from_exif(value: u64) -> Option<Orientation> {
        Some(match value {
            1 => Orientation::Normal,
            2 => Orientation::MirroredSideways,
            3 => Orientation::UpsideDown,
            4 => Orientation::MirroredUpDown,
            5 => Orientation::Transposed,
            6 => Orientation::TurnedRight,
            7 => Orientation::Transversed,
            8 => Orientation::TurnedLeft,
            _ => return None,
        })
    }

    /// Whether width and height change places.
    pub fn swaps_sides(self) -> bool {
        use Orientation::{Transposed, Transversed, TurnedLeft, TurnedRight};
        matches!(self, Transposed | TurnedRight | Transversed | TurnedLeft)
    }

    /// Whether the stored columns, and whether the stored rows, are read backwards; where [`Self::swaps_sides`], before they change places.
    pub fn mirrors(self) -> (bool, bool) {
        use Orientation::{
            MirroredSideways, MirroredUpDown, Normal, Transposed, Transversed, TurnedLeft, TurnedRight,
            UpsideDown,
        };
        match self {
            Normal | Transposed => (false, false),
            MirroredSideways | TurnedLeft => (true, false),
            MirroredUpDown | TurnedRight => (false, true),
            UpsideDown | Transversed => (true, true),
        }
    }
}
