//! A graph that ONNX Runtime has opened, and its runs.
//!
//! `ort` asks for exclusive access to run a session, because of backends that are not used here. ONNX Runtime itself documents that
//! any number of threads may call `Run` on one session, on the processor, on CUDA and in OpenVINO; a test holds it to that. So runs
//! call its C interface, which also writes into memory of ours, where `ort` would allocate some for every run.

use std::ffi::{CString, NulError, c_char};
use std::path::{Path, PathBuf};
use std::ptr::{self, NonNull};

use clip_model::memory;
use ort::AsPointer;
use ort::memory::MemoryInfo;
use ort::session::Session;
use ort::sys::{ONNXTensorElementDataType as Type, OrtStatusPtr, OrtValue};
use ort::value::{DynValue, Outlet, TensorElementType, ValueType};

use super::library::NAME;
use crate::engine::{Elements, MOST_INPUTS, Output, Port, Target, Tensor, View};
use crate::error::Error;

type Result<T, E = Error> = std::result::Result<T, E>;

/// Axes that a tensor which goes in or out without an allocation may have.
const MOST_AXES: usize = 8;

/// A graph.
#[derive(Debug)]
pub struct Graph {
    file: PathBuf,
    session: Session,
    /// What says of a tensor that it lies in memory of the processor's.
    processor: MemoryInfo<'static>,
    inputs: Vec<CString>,
    outputs: Vec<CString>,
}

/// A tensor in memory of ours, as ONNX Runtime sees it. It lives no longer than that memory.
struct Value(*mut OrtValue);

impl Drop for Value {
    fn drop(&mut self) {
        if !self.0.is_null() {
            // SAFETY: it was made by ONNX Runtime, and nobody else frees it.
            unsafe { (ort::api().ReleaseValue)(self.0) };
        }
    }
}

/// Nothing, in place of a value that is not made.
const NONE: Value = Value(ptr::null_mut());

impl Graph {
    pub fn new(file: &Path, session: Session) -> Result<Graph> {
        let name = |outlet: &Outlet| CString::new(outlet.name());
        let named = |outlets: &[Outlet]| outlets.iter().map(name).collect::<Result<Vec<CString>, NulError>>();
        let names = named(session.inputs()).and_then(|inputs| Ok((inputs, named(session.outputs())?)));
        let (inputs, outputs) = names.map_err(|e| refused("open", file, e.to_string()))?;
        Ok(Graph { file: file.to_owned(), session, processor: MemoryInfo::default(), inputs, outputs })
    }

    /// Runs it. Of `outputs`, what is null is allocated by ONNX Runtime.
    ///
    /// # Safety
    /// Values of `outputs` that are not null are tensors whose memory lives, and is nobody else's, until this returns.
    unsafe fn call(
        &self,
        names: &[*const c_char],
        inputs: &[*const OrtValue],
        outputs: &[*const c_char],
        values: &mut [*mut OrtValue],
    ) -> Result<()> {
        debug_assert!(names.len() == inputs.len() && outputs.len() == values.len());
        // SAFETY: names end with a zero and live as long as the graph; all values are tensors of ours, or null where they are
        // given out; and any number of threads may run a session.
        let status = unsafe {
            (ort::api().Run)(
                self.session.ptr().cast_mut(),
                ptr::null(),
                names.as_ptr(),
                inputs.as_ptr(),
                inputs.len(),
                outputs.as_ptr(),
                outputs.len(),
                values.as_mut_ptr(),
            )
        };
        self.done(status)
    }

    /// The name of an input, as ONNX Runtime takes it.
    fn input(&self, name: &str) -> Result<*const c_char> {
        match self.inputs.iter().find(|known| known.as_bytes() == name.as_bytes()) {
            Some(known) => Ok(known.as_ptr()),
            None => Err(self.failed(format!("it has no input {name:?}"))),
        }
    }

    /// An input as a value, which borrows its elements.
    fn value(&self, view: View<'_>) -> Result<Value> {
        let element = match view.elements {
            Elements::Float32(_) => Type::ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT,
            Elements::UInt8(_) => Type::ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8,
            Elements::Int32(_) => Type::ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32,
            Elements::Int64(_) => Type::ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64,
        };
        let bytes = view.elements.bytes();
        self.tensor(view.shape, view.elements.len(), element, bytes.as_ptr().cast_mut(), bytes.len())
    }

    /// A tensor of that shape at `data`.
    fn tensor(
        &self,
        shape: &[usize],
        elements: usize,
        element: Type,
        data: *mut u8,
        bytes: usize,
    ) -> Result<Value> {
        let mut sizes = [0; MOST_AXES];
        let product = shape.iter().try_fold(1usize, |product, &n| product.checked_mul(n));
        if shape.len() > sizes.len() || product != Some(elements) {
            return Err(self.failed(format!("{elements} numbers are no tensor of shape {shape:?}")));
        }
        for (size, &n) in sizes.iter_mut().zip(shape) {
            *size = i64::try_from(n).unwrap_or(i64::MAX);
        }
        let mut value = NONE;
        // SAFETY: `data` has `bytes` bytes, as many as the shape asks for, and outlives the value.
        let status = unsafe {
            (ort::api().CreateTensorWithDataAsOrtValue)(
                self.processor.ptr(),
                data.cast(),
                bytes,
                sizes.as_ptr(),
                shape.len(),
                element,
                &mut value.0,
            )
        };
        self.done(status).map(|()| value)
    }

    fn done(&self, status: OrtStatusPtr) -> Result<()> {
        // SAFETY: it comes from a function of ONNX Runtime, and nobody else looks at it.
        unsafe { ort::Error::result_from_status(status) }.map_err(|e| self.failed(e.to_string()))
    }

    fn failed(&self, reason: String) -> Error {
        refused("run", &self.file, reason)
    }
}

impl crate::engine::Session for Graph {
    fn inputs(&self) -> Vec<Port> {
        self.session.inputs().iter().map(port).collect()
    }

    fn outputs(&self) -> Vec<Port> {
        self.session.outputs().iter().map(port).collect()
    }

    fn run_into(&self, inputs: &[(&str, View<'_>)], target: Target<'_>) -> Result<()> {
        let [output] = &self.outputs[..] else {
            return Err(self.failed(format!("it has {} outputs, and one is expected", self.outputs.len())));
        };
        if inputs.len() > MOST_INPUTS {
            return Err(self.failed(format!("{} inputs are more than {MOST_INPUTS}", inputs.len())));
        }
        let (mut names, mut values) = ([ptr::null(); MOST_INPUTS], [NONE; MOST_INPUTS]);
        for (place, &(name, view)) in inputs.iter().enumerate() {
            (names[place], values[place]) = (self.input(name)?, self.value(view)?);
        }
        let given = std::array::from_fn::<_, MOST_INPUTS, _>(|place| values[place].0.cast_const());
        let Target { shape, values: into } = target;
        let (data, bytes) = (into.as_mut_ptr().cast(), size_of_val(into));
        let element = Type::ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT;
        let into = self.tensor(shape, into.len(), element, data, bytes)?;
        let count = inputs.len();
        // SAFETY: the output is a tensor in memory that is borrowed for this call alone.
        unsafe { self.call(&names[..count], &given[..count], &[output.as_ptr()], &mut [into.0]) }
    }

    fn run(&self, inputs: &[(&str, &Tensor)]) -> Result<Vec<Output>> {
        let names = inputs.iter().map(|(name, _)| self.input(name)).collect::<Result<Vec<_>>>()?;
        let values =
            inputs.iter().map(|(_, tensor)| self.value(tensor.view())).collect::<Result<Vec<_>>>()?;
        let given: Vec<*const OrtValue> = values.iter().map(|value| value.0.cast_const()).collect();
        let outputs: Vec<*const c_char> = self.outputs.iter().map(|name| name.as_ptr()).collect();
        let mut found = vec![ptr::null_mut(); outputs.len()];
        // SAFETY: nothing is given to be written to.
        unsafe { self.call(&names, &given, &outputs, &mut found) }?;
        // All of them first, so that they are freed whatever happens below.
        let found: Vec<Option<DynValue>> = found
            .into_iter()
            .map(|value| {
                // SAFETY: the session gave the values out, and its allocator made them.
                NonNull::new(value).map(|v| unsafe { DynValue::from_ptr(v, Some(self.session.allocator())) })
            })
            .collect();
        let output = |(outlet, value): (&Outlet, Option<DynValue>)| {
            let value = value.ok_or_else(|| self.failed(format!("it gave no {:?}", outlet.name())))?;
            let (shape, values) =
                value.try_extract_tensor::<f32>().map_err(|e| self.failed(e.to_string()))?;
            let shape = shape.iter().map(|&n| usize::try_from(n).unwrap_or(0)).collect();
            let values = memory::copy("the output of a graph", values)?;
            Ok(Output { name: outlet.name().to_owned(), shape, values })
        };
        self.session.outputs().iter().zip(found).map(output).collect()
    }
}

fn port(outlet: &Outlet) -> Port {
    let (element, shape) = match outlet.dtype() {
        ValueType::Tensor { ty, shape, .. } => {
            let element = match ty {
                TensorElementType::Float32 => "float32".to_owned(),
                TensorElementType::Uint8 => "uint8".to_owned(),
                TensorElementType::Int32 => "int32".to_owned(),
                TensorElementType::Int64 => "int64".to_owned(),
                other => format!("{other:?}").to_lowercase(),
            };
            // A size that the graph leaves free is -1.
            (element, shape.iter().map(|&n| usize::try_from(n).ok()).collect())
        }
        other => (format!("{other:?}"), vec![]),
    };
    Port { name: outlet.name().to_owned(), element, shape }
}

/// The error of a graph that ONNX Runtime does not take or run.
pub fn refused(action: &'static str, file: &Path, reason: String) -> Error {
    Error::Engine { engine: NAME, action, file: file.to_owned(), reason }
}
