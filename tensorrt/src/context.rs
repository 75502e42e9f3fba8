//! Runs of an engine, as TensorRT has them.

use std::ffi::{CString, c_char, c_void};
use std::sync::Arc;

use crate::cuda::Stream;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::logger;
use crate::object::{Owned, call};
use crate::shape::{Dims, Shape};

/// An execution context: the memory of one run at a time.
#[derive(Debug)]
pub struct Context {
    // Dropped before the engine that it belongs to.
    context: Owned,
    engine: Arc<Engine>,
}

impl Context {
    pub fn new(engine: &Arc<Engine>) -> Result<Context> {
        Ok(Context { context: engine.create_context()?, engine: engine.clone() })
    }

    pub fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    /// Sets the shape of an input.
    pub fn set_shape(&mut self, name: &CString, shape: &[i64]) -> Result<()> {
        let slot = self.engine.table().context_set_shape;
        let dims = Dims::new(shape);
        let set = |dims: Dims| {
            // SAFETY: the slot is that of the engine's family; name and shape are only read.
            unsafe {
                call!(
                    self.context.inner(),
                    slot,
                    fn(*const c_char, *const Dims) -> bool,
                    name.as_ptr(),
                    &raw const dims
                )
            }
        };
        self.done("set the shape of an input", dims.is_some_and(set))
    }

    /// The shape of a tensor, which for outputs follows from the inputs.
    pub fn shape(&self, name: &CString) -> Option<Shape> {
        let slot = self.engine.table().context_shape;
        // SAFETY: as above.
        unsafe { call!(self.context.inner(), slot, fn(*const c_char) -> Dims, name.as_ptr()) }.shape()
    }

    /// Says where a tensor lies on the GPU.
    ///
    /// # Safety
    /// It has room for the tensor, and stays there while the context runs.
    pub unsafe fn set_address(&mut self, name: &CString, address: u64) -> Result<()> {
        let slot = self.engine.table().context_set_address;
        // SAFETY: the address is only kept.
        let set = unsafe {
            call!(
                self.context.inner(),
                slot,
                fn(*const c_char, *mut c_void) -> bool,
                name.as_ptr(),
                address as *mut c_void
            )
        };
        self.done("take the address of a tensor", set)
    }

    /// Has the engine run on `stream` when all that was asked of it before is done.
    ///
    /// # Safety
    /// All addresses are set, and nobody uses what lies there until the stream has come to the end of this.
    pub unsafe fn enqueue(&mut self, stream: &Stream) -> Result<()> {
        let slot = self.engine.table().context_enqueue;
        // SAFETY: as promised.
        let taken = unsafe { call!(self.context.inner(), slot, fn(*mut c_void) -> bool, stream.raw()) };
        self.done("run the engine", taken)
    }

    fn done(&self, action: &'static str, done: bool) -> Result<()> {
        if done { Ok(()) } else { Err(Error::Run { action, reason: logger::errors() }) }
    }
}
