//! Work that is kept.

use cudarc::driver::CudaGraph;

use super::driver::failed;
use crate::error::Result;

/// Work of a stream that was kept to be done again: the driver is asked once, and not once for each kernel.
pub struct Graph(CudaGraph);

// SAFETY: a graph is only reached through `&mut`, by one thread at a time.
unsafe impl Send for Graph {}

impl std::fmt::Debug for Graph {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Graph").finish_non_exhaustive()
    }
}

impl Graph {
    pub(super) fn new(graph: CudaGraph) -> Graph {
        Graph(graph)
    }

    /// Has the work done on the stream that it was kept of.
    ///
    /// # Safety
    /// Everything that it works on is alive, and nobody else uses it until the stream has come to the end of this.
    pub unsafe fn launch(&mut self) -> Result<()> {
        self.0.launch().map_err(|e| failed("run a graph", e))
    }
}
