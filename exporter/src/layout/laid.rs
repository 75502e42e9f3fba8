//! What a program's folder holds.

use super::graph::LaidGraph;

/// What lies in a folder for a program.
pub struct Laid {
    /// Its graphs.
    pub graphs: Vec<LaidGraph>,
    /// Its other files: path in the folder, and content.
    pub texts: Vec<(String, String)>,
}
