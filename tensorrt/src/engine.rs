//! Engines that are ready to run.

use std::ffi::{CStr, CString, c_char, c_void};
use std::sync::Arc;

use crate::cuda::Device;
use crate::error::{Error, Result};
use crate::family::{Family, Table};
use crate::library::Library;
use crate::logger;
use crate::object::{Owned, call};
use crate::shape::{Dims, Range, Shape};
use crate::version::Version;

/// What the elements of a tensor are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Element {
    /// IEEE single precision.
    Float32,
    /// IEEE half precision.
    Float16,
    /// Signed bytes.
    Int8,
    /// Signed integers of 32 bits.
    Int32,
    /// Bytes.
    UInt8,
    /// Signed integers of 64 bits.
    Int64,
}

impl Element {
    /// Of `DataType`, where this crate has a use for it.
    fn of(number: i32) -> Option<Element> {
        match number {
            0 => Some(Element::Float32),
            1 => Some(Element::Float16),
            2 => Some(Element::Int8),
            3 => Some(Element::Int32),
            5 => Some(Element::UInt8),
            8 => Some(Element::Int64),
            _ => None,
        }
    }

    /// Bytes of one.
    pub fn bytes(self) -> usize {
        match self {
            Element::Int8 | Element::UInt8 => 1,
            Element::Float16 => 2,
            Element::Float32 | Element::Int32 => 4,
            Element::Int64 => 8,
        }
    }

    /// `float32`
    pub fn name(self) -> &'static str {
        match self {
            Element::Float32 => "float32",
            Element::Float16 => "float16",
            Element::Int8 => "int8",
            Element::Int32 => "int32",
            Element::UInt8 => "uint8",
            Element::Int64 => "int64",
        }
    }
}

/// An input or an output of an engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Io {
    /// Its name.
    pub name: String,
    /// Whether it is an input.
    pub is_input: bool,
    /// What its elements are.
    pub element: Element,
    /// Its sizes, -1 where they are not fixed.
    pub shape: Shape,
    /// The shapes that it may have, of an input.
    pub range: Option<Range>,
}

/// An engine on a GPU. Share it between threads: each of them runs it by an [`crate::Execution`] of its own.
#[derive(Debug)]
pub struct Engine {
    // In the order in which they are dropped.
    engine: Owned,
    _runtime: Owned,
    device: Device,
    family: Family,
    version: Version,
    io: Vec<Io>,
}

impl Library {
    /// Opens an engine on `device`. `host_code` allows it to run code of its own on the host, as version-compatible engines do: allow
    /// it to plans whose origin you know.
    ///
    /// # Errors
    /// [`Error::Plan`] when it is damaged, or was built for another version or GPU, in TensorRT's own words; [`Error::NoRoom`].
    pub fn deserialize(&self, device: &Device, plan: &[u8], host_code: bool) -> Result<Arc<Engine>> {
        let (table, version) = (self.family().table(), self.version());
        let create = self.create_runtime()?;
        device.make_current()?;
        logger::forget_errors();
        let refused = || Error::Plan { version, reason: logger::errors() };
        // SAFETY: the slots are those of the library's family; the driver is initialised and the device current, without
        // which some versions return pointers to nothing. The plan is copied.
        unsafe {
            let runtime = Owned::new(create(logger::logger(table.versioned_logger), self.number()))
                .ok_or_else(refused)?;
            if host_code {
                call!(runtime.inner(), table.runtime_allow_host_code, fn(bool), true);
            }
            let raw = call!(
                runtime.inner(),
                table.runtime_deserialize,
                fn(*const c_void, usize) -> *mut c_void,
                plan.as_ptr().cast(),
                plan.len()
            );
            let engine = Owned::new(raw).ok_or_else(|| {
                // A full GPU says nothing against the plan.
                match (device.free_memory(), plan.len() as u64) {
                    (Ok(free), bytes) if free < bytes => {
                        Error::NoRoom { free, bytes, reason: logger::errors() }
                    }
                    _ => refused(),
                }
            })?;
            let io = ports(&engine, table, version)?;
            Ok(Arc::new(Engine {
                engine,
                _runtime: runtime,
                device: device.clone(),
                family: self.family(),
                version,
                io,
            }))
        }
    }
}

impl Engine {
    /// Its inputs and outputs.
    pub fn io(&self) -> &[Io] {
        &self.io
    }

    /// The GPU that it is on.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Version of the library that runs it.
    pub fn version(&self) -> Version {
        self.version
    }

    pub(crate) fn table(&self) -> &'static Table {
        self.family.table()
    }

    /// A new context, which has the memory for one run at a time.
    pub(crate) fn create_context(&self) -> Result<Owned> {
        self.device.make_current()?;
        logger::forget_errors();
        // SAFETY: the engine is alive, and stays so while its contexts live, whose owner holds it. 0 is the strategy that allocates
        // at once what the largest shapes need.
        unsafe {
            let raw =
                call!(self.engine.inner(), self.table().engine_create_context, fn(i32) -> *mut c_void, 0);
            Owned::new(raw)
                .ok_or_else(|| Error::Run { action: "make room to run the engine", reason: logger::errors() })
        }
    }
}

/// The inputs and outputs of an engine.
///
/// # Safety
/// The table is that of the engine's family.
unsafe fn ports(engine: &Owned, table: &Table, version: Version) -> Result<Vec<Io>> {
    // SAFETY: as promised; names live as long as the engine.
    unsafe {
        let inner = engine.inner();
        let profiles = call!(inner, table.engine_profiles, fn() -> i32,);
        let port = |i: i32| {
            let bad = |reason: String| Error::Plan { version, reason };
            let raw = call!(inner, table.engine_tensor_name, fn(i32) -> *const c_char, i);
            if raw.is_null() {
                return Err(bad("it has an input or output without a name".to_owned()));
            }
            let name = CString::from(CStr::from_ptr(raw));
            let text = name.to_string_lossy().into_owned();
            let name = name.as_ptr();
            let number = call!(inner, table.engine_type, fn(*const c_char) -> i32, name);
            let element = Element::of(number).ok_or_else(|| {
                bad(format!("{text:?} is of TensorRT's type {number}, which is not supported"))
            })?;
            // TensorIOMode: 1 for inputs, 2 for outputs.
            let is_input = call!(inner, table.engine_mode, fn(*const c_char) -> i32, name) == 1;
            let shape = call!(inner, table.engine_shape, fn(*const c_char) -> Dims, name);
            let shape = shape.shape().ok_or_else(|| bad(format!("{text:?} has no shape")))?;
            let limit = |selector: i32| {
                let limit = call!(
                    inner,
                    table.engine_profile_shape,
                    fn(*const c_char, i32, i32) -> Dims,
                    name,
                    0,
                    selector
                );
                limit.shape()
            };
            let range = (is_input && profiles > 0)
                .then(|| Some(Range { min: limit(0)?, opt: limit(1)?, max: limit(2)? }))
                .flatten();
            Ok(Io { name: text, is_input, element, shape, range })
        };
        (0..call!(inner, table.engine_tensors, fn() -> i32,)).map(port).collect()
    }
}
